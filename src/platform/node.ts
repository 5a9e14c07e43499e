/**
 * The platform of runtimes with Node's modules: Node, Bun and Deno.
 *
 * @module
 */

import { Buffer } from 'node:buffer';
import { createHash, randomUUID } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  existsSync,
  openSync,
  type ReadStream,
  readFileSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import {
  copyFile,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir, hostname, tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { setImmediate } from 'node:timers';
import { checkServerIdentity } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, Worker, workerData } from 'node:worker_threads';
// As a whole, because older versions of Node have no Zstandard to name.
import * as zlib from 'node:zlib';
import type { Packing, ParentPort, Platform, ScratchFile } from './platform.ts';

/** This folder lies two below the root of the package in the sources, and three below it compiled. */
const roots = ['../../', '../../../'].map((path) => new URL(path, import.meta.url));

const readStream: Platform['readStream'] = (path, { packing, range, onRead } = {}) => {
  const unpacked = packing === undefined ? undefined : unpacking(packing);
  // A pipe can be read from its beginning on alone.
  const file = createReadStream(path, range && { start: range.start, end: range.end - 1 });
  const pieces = unpacked === undefined ? file : unpackedPieces(file, unpacked);
  return onRead === undefined ? pieces : counted();

  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      // What is read waits in front of the unpacking, a whole small file at once.
      onRead!(unpacked === undefined ? file.bytesRead : unpacked.bytesWritten);
      yield piece;
    }
  }
};

function unpackedPieces(file: ReadStream, unpacked: ReturnType<typeof unpacking>): AsyncIterable<Uint8Array> {
  file.on('error', (error) => unpacked.destroy(error));
  // A reader that stops early closes only what it reads from.
  unpacked.on('close', () => file.destroy());
  return file.pipe(unpacked);
}

function unpacking(packing: Packing) {
  if (packing === 'gzip') return zlib.createGunzip();
  if (typeof zlib.createZstdDecompress === 'function') return zlib.createZstdDecompress();
  throw Object.assign(new Error('this runtime cannot unpack Zstandard; Node can from version 22.15 on'), {
    code: 'ENOSYS',
  });
}

function openScratchFile(): ScratchFile {
  const path = join(tmpdir(), `subzero-${randomUUID()}`);
  const file = openSync(path, 'wx+', 0o600);
  let isNamed = true;
  try {
    unlinkSync(path);
    isNamed = false;
  } catch {
    // Windows keeps the name of an open file.
  }
  return {
    write(source, position) {
      for (let done = 0; done < source.length; )
        done += writeSync(file, source, done, source.length - done, position + done);
    },
    read(target, position) {
      for (let done = 0; done < target.length; ) {
        const count = readSync(file, target, done, target.length - done, position + done);
        if (count === 0) throw new Error(`a temporary file ends at byte ${position + done}, before what was written`);
        done += count;
      }
    },
    close() {
      closeSync(file);
      if (isNamed) unlinkSync(path);
    },
  };
}

/** The runtime's collector: Bun has a function for it, V8 shows its own to contexts that begin after a flag is set. */
function garbageCollector(): () => void {
  const { Bun: bun } = globalThis as { Bun?: { gc(synchronously: boolean): void } };
  if (bun) return () => bun.gc(true);
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

let collect: (() => void) | undefined;

export const platform: Platform = {
  ...{ join, resolve, dirname, basename },
  ...{
    readFile,
    writeFile,
    open,
    readStream,
    openScratchFile,
    stat,
    readdir,
    mkdir,
    rename,
    copyFile,
    symlink,
    rm,
    rmdir,
  },
  readPackageFile(path) {
    const root = roots.find((folder) => existsSync(new URL('kernels/', folder)));
    if (!root) throw new Error(`the package is incomplete: there are no kernels near ${import.meta.url}`);
    return readFileSync(new URL(path, root));
  },

  requirePackage: createRequire(import.meta.url),

  createHash,
  crc32: zlib.crc32,
  equalBytes: (first, second) => Buffer.compare(first, second) === 0,
  decodeBase64: (text) => Buffer.from(text, 'base64'),
  checkServerIdentity,

  environmentVariables: process.env,
  operatingSystem: process.platform,
  processId: process.pid,
  isProcessAlive(processId) {
    try {
      process.kill(processId, 0);
      return true;
    } catch (error) {
      return (error as { code?: unknown }).code !== 'ESRCH';
    }
  },
  ...{ hostname, homedir },
  writeStandardError(text) {
    process.stderr.write(text);
  },
  collectGarbage() {
    collect ??= garbageCollector();
    collect();
  },

  startWorker(module, from, { data, maxHeapMegabytes } = {}) {
    const file = from.endsWith('.ts') ? module : module.replace(/\.ts$/, '.js');
    return new Worker(new URL(file, from), {
      workerData: data,
      ...(maxHeapMegabytes === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: maxHeapMegabytes } }),
    });
  },
  parentPort: parentPort as ParentPort | null,
  endThread() {
    // Deno's port of a thread cannot be closed, its thread can.
    if (parentPort?.close) parentPort.close();
    else (globalThis as { close?(): void }).close?.();
  },
  workerData,
  blockWhile(words, value, milliseconds) {
    Atomics.wait(words, 0, value, milliseconds);
  },
  afterEvents(callback) {
    setImmediate(callback);
  },
};
