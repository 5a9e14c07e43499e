/**
 * Finds a Node that runs TypeScript sources. Plain JavaScript without dependencies, because it runs before anything is
 * installed and on any Node >= 20.
 *
 * @module
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** What this project needs to run from source, in words. */
export const sourceRequirement = 'Node 22.18 or newer';

/**
 * Whether a Node of this version strips types by default (22.18, 23.6 and everything from 24 on).
 *
 * @param {string} version without a leading `v`, such as `22.18.0`
 * @returns {boolean}
 */
export function runsTypeScript(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major >= 24 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18);
}

/**
 * Whether the runtime that executes this file runs TypeScript sources; Bun and Deno always do.
 *
 * @param {NodeJS.ProcessVersions} [versions]
 * @returns {boolean}
 */
export function currentRuntimeRunsTypeScript(versions = process.versions) {
  return isBunOrDeno(versions) || runsTypeScript(versions.node);
}

/**
 * Bun and Deno both claim to be a Node in `process.versions.node`, and add their own name beside it.
 *
 * @param {NodeJS.ProcessVersions} [versions]
 * @returns {boolean}
 */
export function isBunOrDeno(versions = process.versions) {
  return versions.bun !== undefined || versions.deno !== undefined;
}

/**
 * The path of a Node that runs TypeScript: the one that executes this file, or else the npm package `node` of the
 * project, a development dependency for systems that still have Node 20.
 *
 * @param {string} root the folder that holds node_modules
 * @param {{ versions: NodeJS.ProcessVersions, execPath: string }} [current]
 * @returns {string | undefined}
 */
export function findNode(root, current = process) {
  if (!isBunOrDeno(current.versions) && runsTypeScript(current.versions.node) && existsSync(current.execPath)) {
    return current.execPath;
  }
  const folder = join(root, 'node_modules', 'node', 'bin');
  return [join(folder, 'node'), join(folder, 'node.exe')].find((path) => existsSync(path));
}
