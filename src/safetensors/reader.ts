/**
 * Opens a safetensors file and reads ranges of its tensors straight from the disk.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { tellingBytes } from '../file-contents.ts';
import { refuseForeignFile } from '../model-file.ts';
import type { FileHandle } from '../platform/index.ts';
import type { TensorSource } from '../tensor-source.ts';
import { diskError, openRegularFile, readFully } from './disk.ts';
import { fingerprintFiles, type OpenFile } from './fingerprint.ts';
import { lengthFieldBytes, type PlacedTensor, parseHeader, parseHeaderLength, type TensorEntry } from './header.ts';
import { quote } from './json.ts';
import { tensorRange } from './tensor-range.ts';

/** One opened file. */
export interface SafetensorsFile extends TensorSource<TensorEntry> {
  /** The path as it was given. */
  readonly file: string;
}

/**
 * Opens a file and checks its header by every rule of the format; tensor data is not touched.
 * @throws SubzeroError `not_found`, `io`, `invalid_data` (a broken rule, with the tensor, what was expected and what
 * came) or `unsupported` (an element type that cannot be opened).
 */
export async function openSafetensors(file: string): Promise<SafetensorsFile> {
  return await OpenedSafetensors.open(file);
}

/** The class behind {@link openSafetensors}; it also shows the open file to the fingerprint of a sharded model. */
export class OpenedSafetensors implements SafetensorsFile {
  readonly file: string;
  readonly tensors: ReadonlyMap<string, PlacedTensor>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly #handle: FileHandle;
  readonly #fileBytes: number;
  readonly #headerBytes: number;
  #fingerprint: Promise<string> | undefined;
  #closed = false;

  private constructor(
    file: string,
    handle: FileHandle,
    fileBytes: number,
    headerBytes: number,
    tensors: readonly PlacedTensor[],
    metadata: Readonly<Record<string, string>>,
  ) {
    this.file = file;
    this.tensors = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    this.metadata = metadata;
    this.#handle = handle;
    this.#fileBytes = fileBytes;
    this.#headerBytes = headerBytes;
  }

  static async open(file: string): Promise<OpenedSafetensors> {
    const handle = await openRegularFile(file, 'a safetensors file');
    try {
      const fileBytes = (await handle.stat()).size;
      const beginning = new Uint8Array(Math.min(tellingBytes, fileBytes));
      await readFully(handle, file, 0, beginning);
      // The length of a header can begin as other files do; the header itself cannot.
      if (beginning[lengthFieldBytes] !== 0x7b) refuseForeignFile(beginning, file);
      if (fileBytes < lengthFieldBytes) {
        throw new SubzeroError(
          'invalid_data',
          `${file}: expected a safetensors file of at least ${lengthFieldBytes} bytes, got ${fileBytes}; download ` +
            `it again`,
          { parameter: file },
        );
      }
      const field = new Uint8Array(lengthFieldBytes);
      await readFully(handle, file, 0, field);
      const json = new Uint8Array(parseHeaderLength(field, fileBytes, file));
      await readFully(handle, file, lengthFieldBytes, json);
      const headerBytes = lengthFieldBytes + json.byteLength;
      const { tensors, metadata } = parseHeader(json, fileBytes - headerBytes, file);
      return new OpenedSafetensors(file, handle, fileBytes, headerBytes, tensors, metadata);
    } catch (error) {
      await handle.close();
      throw diskError(error, file, 'read');
    }
  }

  async read(
    name: string,
    byteOffset = 0,
    byteLength?: number,
    memory?: ArrayBuffer,
  ): Promise<Uint8Array<ArrayBuffer>> {
    this.#checkOpen();
    const { tensor, length } = tensorRange(this.file, this.tensors, name, byteOffset, byteLength);
    const bytes =
      memory && length <= memory.byteLength
        ? new Uint8Array(memory, 0, length)
        : allocate(length, `${this.file}: tensor ${quote(name)}`);
    await readFully(this.#handle, this.file, this.#headerBytes + tensor.dataOffset + byteOffset, bytes);
    return bytes;
  }

  fingerprint(): Promise<string> {
    this.#fingerprint ??= fingerprintFiles([this]);
    return this.#fingerprint;
  }

  /** @throws SubzeroError `conflict` after `close`. */
  openFile(): OpenFile {
    this.#checkOpen();
    return { handle: this.#handle, file: this.file, fileBytes: this.#fileBytes, headerBytes: this.#headerBytes };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new SubzeroError('conflict', `${this.file} is closed`, { parameter: this.file });
  }
}

function allocate(length: number, what: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new SubzeroError(
      'invalid_argument',
      `${what}: ${length} bytes do not fit into one array; read it in smaller ranges`,
      { cause },
    );
  }
}
