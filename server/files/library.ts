/**
 * Uploaded and produced files: bytes in one folder under names of our own making, facts about them in the store.
 *
 * @module
 */

import { createReadStream } from 'node:fs';
import { copyFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { makeFolders } from '../../src/make-folders.ts';
import type { ServerLimits } from '../configuration.ts';
import { ApiError, invalid, notFound } from '../errors.ts';
import { createIdentifier, unixTime } from '../identifiers.ts';
import { refuseUnsupported } from '../schemas/known-fields.ts';
import type { FileRecord, Store } from '../store.ts';
import { uploadedContainer } from './table-check.ts';
import { receiveUpload } from './upload.ts';

/** The purposes of files that can be uploaded: to train on, requests of a batch, items of an evaluation. */
export const uploadPurposes = ['fine-tune', 'batch', 'evals'] as const;
export type UploadPurpose = (typeof uploadPurposes)[number];
/** The purpose of files to train on. */
export const trainingPurpose: UploadPurpose = 'fine-tune';
/** The purpose of what batches produce. */
export const batchOutputPurpose = 'batch_output';
/** The purpose of files that jobs produce. */
const resultsPurpose = 'fine-tune-results';

export class FileLibrary {
  readonly #store: Store;
  readonly #directory: string;
  readonly #incoming: string;
  readonly #limits: ServerLimits;
  readonly #users: ((id: string) => string | undefined)[] = [];

  constructor(options: { store: Store; directory: string; limits: ServerLimits }) {
    this.#store = options.store;
    this.#directory = options.directory;
    this.#incoming = join(options.directory, 'incoming');
    this.#limits = options.limits;
  }

  /** Creates the folders and removes what a killed server left: half uploads, and files that never got on the list. */
  async open(): Promise<void> {
    await rm(this.#incoming, { recursive: true, force: true });
    await makeFolders(this.#incoming);
    for (const name of await readdir(this.#directory)) {
      const id = /^(file-[A-Za-z0-9]+)\.[a-z]+$/.exec(name)?.[1];
      if (!id) continue;
      const file = this.#store.file(id);
      const path = join(this.#directory, name);
      if (!file) await rm(path, { force: true });
      // Older versions gave the names of all training files the same end.
      else if (path !== this.path(file)) await rename(path, this.path(file));
    }
  }

  /** Where the bytes of a file lie. The name comes from a record, never from a request. */
  path(file: FileRecord): string {
    return join(this.#directory, `${file.id}${endOf(file)}`);
  }

  /** @throws ApiError 404 */
  get(id: string, param: string | null = 'file_id'): FileRecord {
    const file = this.#store.file(id);
    if (!file) throw notFound('file', id, param);
    return file;
  }

  /** Receives a multipart upload. It appears in the list only when it is complete and valid. */
  async receive(body: ReadableStream<Uint8Array> | null, contentType: string | undefined): Promise<FileRecord> {
    const free = this.#limits.storedBytes - this.#store.storedBytes();
    if (free <= 0) {
      throw new ApiError(
        413,
        `The server keeps at most ${this.#limits.storedBytes} bytes of files; delete some first.`,
        {
          param: 'file',
          code: 'storage_full',
        },
      );
    }
    const id = createIdentifier('file-');
    const temporary = join(this.#incoming, id);
    const limits = { fileBytes: Math.min(this.#limits.fileBytes, free), lineBytes: this.#limits.lineBytes };
    const { fields, content, ...facts } = await receiveUpload(body, contentType, temporary, limits);
    try {
      const purpose = checkFields(fields);
      checkContent(purpose, content, facts.filename);
      const file: FileRecord = { id, createdAt: unixTime(), purpose, ...facts };
      await rename(temporary, this.path(file));
      this.#store.insertFile(file);
      return file;
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  /** Keeps text that a job has produced. */
  async add(filename: string, text: string): Promise<FileRecord> {
    const lines = text.split('\n').filter((line) => line !== '').length;
    const id = createIdentifier('file-');
    const file = {
      id,
      createdAt: unixTime(),
      purpose: resultsPurpose,
      filename,
      bytes: Buffer.byteLength(text),
      lines,
    };
    const temporary = join(this.#incoming, id);
    await writeFile(temporary, text, { mode: 0o600 });
    await rename(temporary, this.path(file));
    this.#store.insertFile(file);
    return file;
  }

  /** Adds a copy of a file of the disk. */
  async addCopy(path: string, facts: Pick<FileRecord, 'filename' | 'purpose' | 'lines'>): Promise<FileRecord> {
    const id = createIdentifier('file-');
    const temporary = join(this.#incoming, id);
    await copyFile(path, temporary);
    const { size } = await stat(temporary);
    const file: FileRecord = { id, createdAt: unixTime(), bytes: size, ...facts };
    await rename(temporary, this.path(file));
    this.#store.insertFile(file);
    return file;
  }

  /** The bytes as a stream. @throws ApiError 404 if the file has vanished from the disk */
  async content(file: FileRecord): Promise<ReadableStream<Uint8Array>> {
    const path = this.path(file);
    await stat(path).catch(() => {
      throw notFound('file content', file.id, 'file_id');
    });
    return Readable.toWeb(createReadStream(path)) as unknown as ReadableStream<Uint8Array>;
  }

  /** Says who needs files besides jobs. @param find the id of something unfinished that needs the file */
  addUsers(find: (id: string) => string | undefined): void {
    this.#users.push(find);
  }

  /** @throws ApiError 404; 400 while something that is not finished needs the file */
  async delete(id: string): Promise<void> {
    const file = this.get(id);
    const other = this.#users.map((find) => find(id)).find((found) => found !== undefined);
    if (other !== undefined) {
      throw invalid(`The file "${id}" is in use by "${other}"; cancel it first.`, 'file_id', 'file_in_use');
    }
    const user = this.#store
      .jobsWithStatus('validating_files', 'queued', 'running', 'paused')
      .find((job) => job.trainingFile === id || job.validationFile === id);
    if (user)
      throw invalid(`The file "${id}" is in use by the job "${user.id}"; cancel it first.`, 'file_id', 'file_in_use');
    this.#store.deleteFile(id);
    await rm(this.path(file), { force: true });
  }
}

/** How the names of files end, by purpose. */
function endOf({ purpose, filename }: FileRecord): string {
  if (purpose === resultsPurpose) return '.csv';
  return purpose === trainingPurpose ? uploadedContainer(filename).ends[0]! : '.jsonl';
}

/** What the lines of each purpose are, in words. */
const contents: Record<UploadPurpose, string> = {
  'fine-tune': 'examples to train on',
  batch: '{"custom_id", "method", "url", "body"}',
  evals: '{"item": {...}}',
};

/** @throws ApiError 400 where lines are of another purpose */
function checkContent(purpose: UploadPurpose, content: UploadPurpose, filename: string): void {
  if (purpose === content) return;
  throw invalid(
    `The lines of ${filename} are ${contents[content]}, which have the purpose "${content}"; ` +
      `those of the purpose "${purpose}" are ${contents[purpose]}, as JSON Lines.`,
    'purpose',
    'invalid_file',
  );
}

function checkFields(fields: Map<string, string>): UploadPurpose {
  const purpose = fields.get('purpose');
  const known = uploadPurposes.find((each) => each === purpose);
  if (known === undefined) {
    const expected = uploadPurposes.map((each) => `"${each}"`).join(', ');
    throw invalid(
      purpose === undefined
        ? `The field "purpose" is missing; expected one of ${expected}.`
        : `This server keeps files with the purposes ${expected} only; got "${purpose.slice(0, 64)}".`,
      'purpose',
    );
  }
  // A form has no objects: fields of one are fields of the form with brackets in their names.
  for (const name of fields.keys()) refuseUnsupported('files', { [name.replace(/\[.*/s, '')]: name });
  const unknown = [...fields.keys()].find((name) => name !== 'purpose');
  if (unknown !== undefined)
    throw invalid(`Unknown field "${unknown.slice(0, 64)}".`, unknown.slice(0, 64), 'unknown_field');
  return known;
}
