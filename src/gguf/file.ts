/**
 * Opening a GGUF file, with all of its shards.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { tellingBytes } from '../file-contents.ts';
import { refuseForeignFile } from '../model-file.ts';
import { basename, dirname, type FileHandle, join } from '../platform/index.ts';
import { diskError, openRegularFile, readFully } from '../safetensors/disk.ts';
import type { OpenFile } from '../safetensors/fingerprint.ts';
import { quote } from '../safetensors/json.ts';
import {
  type GgufHeader,
  type GgufTensor,
  HeaderContinues,
  type Metadata,
  maxHeaderBytes,
  parseHeader,
} from './header.ts';
import { shardName } from './path.ts';

/** Bytes of a file's beginning that are read at first: the whole header but for a tokenizer with a large vocabulary. */
const firstBytes = 1024 * 1024;

/** One opened file. */
class GgufFile {
  readonly file: string;
  readonly header: GgufHeader;
  readonly #handle: FileHandle;
  readonly #fileBytes: number;
  #closed = false;

  private constructor(file: string, handle: FileHandle, fileBytes: number, header: GgufHeader) {
    this.file = file;
    this.header = header;
    this.#handle = handle;
    this.#fileBytes = fileBytes;
  }

  /** @param ofFirstShard the alignment of the model's first shard, for a shard that states none */
  static async open(file: string, keep?: (key: string) => boolean, ofFirstShard?: number): Promise<GgufFile> {
    const handle = await openRegularFile(file, 'a GGUF file');
    try {
      const fileBytes = (await handle.stat()).size;
      for (let wanted = firstBytes; ; ) {
        const beginning = new Uint8Array(Math.min(wanted, fileBytes));
        await readFully(handle, file, 0, beginning);
        const isGguf = [0x47, 0x47, 0x55, 0x46].every((byte, index) => beginning[index] === byte);
        if (!isGguf) refuseForeignFile(beginning.subarray(0, tellingBytes), file);
        try {
          return new GgufFile(file, handle, fileBytes, parseHeader(beginning, fileBytes, file, keep, ofFirstShard));
        } catch (error) {
          if (!(error instanceof HeaderContinues)) throw error;
          wanted = Math.min(Math.max(4 * wanted, error.bytes), maxHeaderBytes);
        }
      }
    } catch (error) {
      await handle.close();
      throw diskError(error, file, 'read');
    }
  }

  /** Bytes of a tensor. @throws SubzeroError `invalid_data` if the file has shrunk, `io`, `conflict` after `close` */
  async read(tensor: GgufTensor, byteOffset: number, byteLength: number): Promise<Uint8Array<ArrayBuffer>> {
    const { handle } = this.openFile();
    const bytes = new Uint8Array(byteLength);
    await readFully(handle, this.file, tensor.position + byteOffset, bytes);
    return bytes;
  }

  /** For the fingerprint. @throws SubzeroError `conflict` after `close` */
  openFile(): OpenFile {
    if (this.#closed) throw new SubzeroError('conflict', `${this.file} is closed`, { parameter: this.file });
    const { headerBytes } = this.header;
    return { handle: this.#handle, file: this.file, fileBytes: this.#fileBytes, headerBytes };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }
}

/** A model in GGUF: one file, or all of its shards. */
export class GgufModel {
  /** The path as it was given. */
  readonly path: string;
  /** The metadata of the first shard, which has all that is not about shards. */
  readonly metadata: Metadata;
  /** By name, in the order of the files. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  readonly files: readonly GgufFile[];
  readonly #fileOf: ReadonlyMap<string, GgufFile>;

  private constructor(path: string, files: readonly GgufFile[]) {
    this.path = path;
    this.files = files;
    this.metadata = files[0]!.header.metadata;
    const tensors = new Map<string, GgufTensor>();
    const fileOf = new Map<string, GgufFile>();
    for (const file of files) {
      for (const tensor of file.header.tensors) {
        const other = fileOf.get(tensor.name);
        if (other) {
          throw invalid(path, `tensor ${quote(tensor.name)} is in ${other.file} and in ${file.file}; expected it once`);
        }
        tensors.set(tensor.name, tensor);
        fileOf.set(tensor.name, file);
      }
    }
    this.tensors = tensors;
    this.#fileOf = fileOf;
    const total = this.metadata.get('split.tensors.count');
    if (total !== undefined && total !== tensors.size) {
      throw invalid(path, `expected ${total} tensors in all shards ("split.tensors.count"), got ${tensors.size}`);
    }
  }

  /**
   * Opens a file; of shards, the first one names the model.
   * @param keep the keys whose values are wanted; all by default
   * @throws SubzeroError `not_found` (also for a shard), `io`, `invalid_data`, `unsupported`
   */
  static async open(path: string, keep?: (key: string) => boolean): Promise<GgufModel> {
    const keeps = keep && ((key: string) => key.startsWith('split.') || keep(key));
    const files: GgufFile[] = [await GgufFile.open(path, keeps)];
    try {
      for (const name of otherShards(path, files[0]!.header.metadata)) {
        files.push(await openShard(name, files.length, path, files[0]!.header.alignment));
      }
      return new GgufModel(path, files);
    } catch (error) {
      for (const file of files) await file.close();
      throw error;
    }
  }

  /** Bytes of a tensor as they are stored. */
  async read(name: string, byteOffset: number, byteLength: number): Promise<Uint8Array<ArrayBuffer>> {
    return await this.#fileOf.get(name)!.read(this.tensors.get(name)!, byteOffset, byteLength);
  }

  async close(): Promise<void> {
    for (const file of this.files) await file.close();
  }
}

/** The paths of the shards behind the first. */
function otherShards(path: string, metadata: Metadata): string[] {
  const count = metadata.get('split.count') ?? 0;
  const number = metadata.get('split.no') ?? 0;
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 0 || count > 99_999) {
    throw invalid(path, `expected "split.count" to be a number of shards, got ${String(count)}`);
  }
  if (count <= 1) return [];
  const [, stem, , total] = shardName.exec(basename(path)) ?? [];
  if (stem === undefined || Number(total) !== count) {
    throw invalid(
      path,
      `it is one of ${count} shards, which are named NAME-00001-of-${padded(count)}.gguf; give it back the name ` +
        `that it had`,
    );
  }
  const named = (index: number) => join(dirname(path), `${stem}-${padded(index)}-of-${padded(count)}.gguf`);
  if (number !== 0) throw invalid(path, `it is not the first shard of the model; give ${named(1)}`);
  return Array.from({ length: count - 1 }, (_, index) => named(index + 2));
}

async function openShard(file: string, number: number, path: string, alignment: number): Promise<GgufFile> {
  let shard: GgufFile;
  try {
    shard = await GgufFile.open(file, (key) => key.startsWith('split.'), alignment);
  } catch (error) {
    if (!(error instanceof SubzeroError) || error.code !== 'not_found') throw error;
    throw new SubzeroError('not_found', `${path} needs the shard ${file}, which is missing; download it too`, {
      parameter: file,
      cause: error,
    });
  }
  const stated = shard.header.metadata.get('split.no');
  if (stated !== number) {
    await shard.close();
    throw invalid(file, `expected "split.no" to be ${number}, got ${String(stated)}`);
  }
  return shard;
}

function padded(number: number): string {
  return String(number).padStart(5, '0');
}

function invalid(file: string, reason: string): SubzeroError {
  return new SubzeroError('invalid_data', `${file}: ${reason}`, { parameter: file });
}
