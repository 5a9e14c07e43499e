/**
 * Keeps compiled code between runs: reading and compiling the sources takes longer than anything else of a start.
 * Plain JavaScript without dependencies, because it runs before the first TypeScript file is read.
 *
 * @module
 */

import module from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * The folder: `code` beside what src/gpu/cache-directory.ts keeps.
 *
 * @param {Readonly<Record<string, string | undefined>>} [environment]
 * @param {string} [platform]
 * @returns {string}
 */
export function codeCacheDirectory(environment = process.env, platform = process.platform) {
  if (environment.SUBZERO_CACHE_DIR) return join(environment.SUBZERO_CACHE_DIR, 'code');
  const local = platform === 'win32' ? environment.LOCALAPPDATA : undefined;
  return join(local || environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'subzero', 'code');
}

/**
 * Lets Node (22.8 and newer) keep the compiled code of this process and of the threads that it starts.
 * NODE_COMPILE_CACHE names another folder, NODE_DISABLE_COMPILE_CACHE switches it off.
 */
export function keepCompiledCode() {
  if (typeof module.enableCompileCache !== 'function') return;
  // Threads take it from the environment; where the folder cannot be written, Node goes on without.
  process.env.NODE_COMPILE_CACHE ||= codeCacheDirectory();
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE);
}
