/**
 * The platform of runtimes with Node's modules: Node, Bun and Deno.
 *
 * @module
 */

import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync } from 'node:fs';
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
import { homedir, hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { setImmediate } from 'node:timers';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { crc32, createGunzip } from 'node:zlib';
import type { ParentPort, Platform } from './platform.ts';

/** This folder lies two below the root of the package in the sources, and three below it compiled. */
const roots = ['../../', '../../../'].map((path) => new URL(path, import.meta.url));

function readStream(path: string, { gzip }: { gzip: boolean }): AsyncIterable<Uint8Array> {
  const file = createReadStream(path);
  if (!gzip) return file;
  const unpacked = createGunzip();
  file.on('error', (error) => unpacked.destroy(error));
  // A reader that stops early closes only what it reads from.
  unpacked.on('close', () => file.destroy());
  return file.pipe(unpacked);
}

export const platform: Platform = {
  ...{ join, resolve, dirname, basename },
  ...{ readFile, writeFile, open, readStream, stat, readdir, mkdir, rename, copyFile, symlink, rm, rmdir },
  readPackageFile(path) {
    const root = roots.find((folder) => existsSync(new URL('kernels/', folder)));
    if (!root) throw new Error(`the package is incomplete: there are no kernels near ${import.meta.url}`);
    return readFileSync(new URL(path, root));
  },

  requirePackage: createRequire(import.meta.url),

  ...{ createHash, crc32 },
  equalBytes: (first, second) => Buffer.compare(first, second) === 0,
  decodeBase64: (text) => Buffer.from(text, 'base64'),

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

  startWorker(module, from, { data, maxHeapMegabytes } = {}) {
    const file = from.endsWith('.ts') ? module : module.replace(/\.ts$/, '.js');
    return new Worker(new URL(file, from), {
      workerData: data,
      ...(maxHeapMegabytes === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: maxHeapMegabytes } }),
    });
  },
  parentPort: parentPort as ParentPort | null,
  workerData,
  blockWhile(words, value, milliseconds) {
    Atomics.wait(words, 0, value, milliseconds);
  },
  afterEvents(callback) {
    setImmediate(callback);
  },
};
