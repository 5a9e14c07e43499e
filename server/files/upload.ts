/**
 * Reads a multipart upload as a stream: bytes are counted, checked line by line and written to a temporary file, so
 * that memory does not grow with the file. Works with and without Content-Length.
 *
 * @module
 */

import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';
import { Busboy, type BusboyFileStream, type BusboyHeaders } from '@fastify/busboy';
import { withoutPacking } from '../../src/data/packing.ts';
import { ApiError, invalid } from '../errors.ts';
import type { UploadPurpose } from './library.ts';
import { LineChecker } from './line-checker.ts';
import { countRows, uploadedContainer } from './table-check.ts';

export interface UploadLimits {
  fileBytes: number;
  lineBytes: number;
}

export interface Upload {
  filename: string;
  bytes: number;
  lines: number;
  /** What its lines are, by the first of them. */
  content: UploadPurpose;
  fields: Map<string, string>;
}

const maxFields = 8;
const maxFieldBytes = 1024;
const maxFilenameLength = 255;

/** The name is shown and stored, never used as a path. */
function cleanFilename(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
  const base = (name.split(/[/\\]/).at(-1) ?? '').replace(/[\u0000-\u001f\u007f]/g, '');
  return [...base].slice(-maxFilenameLength).join('') || 'upload.jsonl';
}

/**
 * Writes the part named `file` to `path` and returns it with the other fields.
 * On any failure nothing is left at `path`.
 * @throws ApiError 400 for a malformed body or a file that does not validate (the line named), 413 for one too large
 */
export async function receiveUpload(
  body: ReadableStream<Uint8Array> | null,
  contentType: string | undefined,
  path: string,
  limits: UploadLimits,
): Promise<Upload> {
  if (!/^multipart\/form-data\s*;/i.test(contentType ?? '')) {
    throw new ApiError(415, 'Send the file as multipart/form-data with the parts "file" and "purpose".', {
      code: 'unsupported_content_type',
    });
  }
  if (!body) throw invalid('The body is empty; send the parts "file" and "purpose".', 'file');

  const fields = new Map<string, string>();
  const broken = new AbortController();
  let received: Promise<Omit<Upload, 'fields'>> | undefined;
  let refusal: ApiError | undefined;
  const refuse = (error: ApiError) => {
    refusal ??= error;
    broken.abort(refusal);
  };

  const parser = openParser(contentType!, limits);
  parser.on('field', (name, value, _nameTruncated, valueTruncated) => {
    if (valueTruncated) refuse(invalid(`The field "${name}" is longer than ${maxFieldBytes} bytes.`, name));
    else fields.set(name, value);
  });
  parser.on('file', (name, stream, filename) => {
    if (name !== 'file') {
      stream.resume();
      refuse(invalid(`The file part must be named "file", not "${name}".`, name));
      return;
    }
    received = writeFile(stream, cleanFilename(filename), path, limits, broken.signal);
    received.catch((error) => broken.abort(error));
  });
  parser.on('filesLimit', () => refuse(invalid('Send one file in a request.', 'file')));
  parser.on('fieldsLimit', () => refuse(invalid(`Send at most ${maxFields} fields besides the file.`, null)));

  try {
    // The signal ends the reading as soon as the file is refused: no client can keep a doomed upload going.
    await pipeline(Readable.fromWeb(body as NodeReadableStream), parser, { signal: broken.signal });
    if (refusal) throw refusal;
    if (!received) throw invalid('The request has no part named "file".', 'file');
    return { ...(await received), fields };
  } catch (error) {
    // The part's stream does not end when the parser fails: without this the wait below would have no end.
    broken.abort(error);
    await received?.catch(() => {});
    await rm(path, { force: true });
    if (broken.signal.reason instanceof ApiError) throw broken.signal.reason;
    if (error instanceof ApiError) throw error;
    throw invalid(`The multipart body is malformed or ended early: ${reasonOf(error)}`, null, 'invalid_multipart');
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function openParser(contentType: string, limits: UploadLimits) {
  try {
    return new Busboy({
      headers: { 'content-type': contentType } as BusboyHeaders,
      // One byte more than allowed, so that a file of exactly the limit is not taken for a cut one.
      limits: {
        files: 1,
        fields: maxFields,
        fieldSize: maxFieldBytes,
        fileSize: limits.fileBytes + 1,
        headerPairs: 32,
      },
    });
  } catch (error) {
    throw invalid(`The multipart body cannot be read: ${reasonOf(error)}`, null, 'invalid_multipart');
  }
}

async function writeFile(
  stream: BusboyFileStream,
  filename: string,
  path: string,
  limits: UploadLimits,
  signal: AbortSignal,
): Promise<Omit<Upload, 'fields'>> {
  if (filename !== withoutPacking(filename)) {
    throw invalid(
      `${filename} is packed; send it unpacked (Parquet packs its own pages).`,
      'file',
      'invalid_training_file',
    );
  }
  const container = uploadedContainer(filename);
  const checker = container.name === 'JSON Lines' ? new LineChecker(filename, limits.lineBytes) : undefined;
  let bytes = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes > limits.fileBytes) {
        done(
          new ApiError(413, `${filename} is larger than the ${limits.fileBytes} bytes that this server accepts.`, {
            param: 'file',
            code: 'file_too_large',
          }),
        );
        return;
      }
      if (!checker) {
        done(null, chunk);
        return;
      }
      checker.write(chunk).then(
        () => done(checker.hopeless ? invalidFile(checker) : null, chunk),
        (error) => done(error),
      );
    },
  });
  await pipeline(stream, meter, createWriteStream(path, { mode: 0o600 }), { signal });
  if (!checker) return { filename, bytes, lines: await countRows(container, path, filename), content: 'fine-tune' };
  await checker.finish();
  if (checker.problems.length > 0) throw invalidFile(checker);
  return { filename, bytes, lines: checker.lines, content: checker.content };
}

function invalidFile(checker: LineChecker): ApiError {
  return invalid(`${checker.problems.join('; ')}.`, 'file', 'invalid_training_file');
}
