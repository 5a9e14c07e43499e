/**
 * The platform that everything runs on. Only this file names an implementation: a build for another one, such as a
 * browser, puts its own in the place of `node.ts`.
 *
 * @module
 */

import { platform } from './node.ts';

export type * from './platform.ts';

export const { join, resolve, dirname, basename } = platform;
export const { readFile, writeFile, open, readStream, stat, readdir, mkdir, rename, copyFile, symlink } = platform;
export const { rm, rmdir } = platform;
export const { openScratchFile, readPackageFile, requirePackage } = platform;
export const { createHash, crc32, equalBytes, decodeBase64, checkServerIdentity } = platform;
export const { environmentVariables, operatingSystem, processId, isProcessAlive, hostname, homedir } = platform;
export const { writeStandardError, collectGarbage } = platform;
export const { startWorker, parentPort, endThread, workerData, blockWhile, afterEvents } = platform;
