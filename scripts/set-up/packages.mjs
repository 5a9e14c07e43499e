/**
 * Installs the npm packages when they are missing or differ from the lock file, and does nothing otherwise, so that a
 * second run needs no network.
 *
 * @module
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, delimiter, join, relative } from 'node:path';
import { SetUpError } from './set-up-error.mjs';

/** Inside node_modules, so that it disappears together with what it vouches for. */
const stampName = '.installed-lock-hash';

/**
 * @typedef {{ version?: string, optional?: boolean, link?: boolean }} LockedPackage
 * @typedef {{ packages?: Record<string, LockedPackage> }} LockFile
 */

/**
 * Whether what npm says is installed is what the lock file asks for. Packages for other systems are marked optional
 * and may be absent.
 *
 * @param {LockFile} lock package-lock.json
 * @param {LockFile} installed node_modules/.package-lock.json, which npm writes at the end of every installation
 * @returns {boolean}
 */
export function installationMatches(lock, installed) {
  const present = installed.packages ?? {};
  return Object.entries(lock.packages ?? {}).every(([path, wanted]) => {
    if (path === '') return true;
    const found = present[path];
    return found ? found.version === wanted.version : wanted.optional === true;
  });
}

/**
 * @param {string} root the project folder
 * @returns {'up to date' | 'missing' | 'outdated'}
 */
export function packagesState(root) {
  const modules = join(root, 'node_modules');
  if (!existsSync(modules)) return 'missing';
  const lockPath = join(root, 'package-lock.json');
  const hash = fingerprint(existsSync(lockPath) ? lockPath : join(root, 'package.json'));
  const stampPath = join(modules, stampName);
  if (existsSync(stampPath) && readFileSync(stampPath, 'utf8').trim() === hash) return 'up to date';
  // Someone ran npm by hand: npm's own record of the installation tells whether it is the right one.
  const installedPath = join(modules, '.package-lock.json');
  if (!existsSync(installedPath)) return 'missing';
  if (!existsSync(lockPath) || !installationMatches(readJson(lockPath), readJson(installedPath))) return 'outdated';
  writeStamp(root);
  return 'up to date';
}

/**
 * @param {string} root the project folder
 * @param {(line: string) => void} say
 * @throws {SetUpError} when npm fails
 */
export function ensurePackages(root, say) {
  const state = packagesState(root);
  if (state === 'up to date') return;
  say(`packages: ${state === 'missing' ? 'not installed yet' : 'not those of the lock file'}; running npm install`);
  // Tests and the older-Node fallback live in the development dependencies, which NODE_ENV=production would leave out.
  // Not `npm ci`: it refuses a lock file that lacks optional binaries for other systems, which happens wherever a
  // registry mirror does not carry them all. `--no-save` takes the locked versions and leaves the lock file as it is.
  const { program, first } = npmProgram(root);
  const result = spawnSync(program, [...first, 'install', '--no-save', '--include=dev', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: environmentWithoutOwnBinaries(root),
    shell: process.platform === 'win32' && first.length === 0,
  });
  if (result.error || result.status !== 0) {
    const reason = result.error?.message ?? `exit code ${result.status}`;
    throw new SetUpError(`npm install failed (${reason}); its messages are above`, [
      'The packages come from the npm registry, so the first run needs the network; later runs do not.',
    ]);
  }
  writeStamp(root);
}

/** @param {string} root */
function writeStamp(root) {
  const lockPath = join(root, 'package-lock.json');
  const source = existsSync(lockPath) ? lockPath : join(root, 'package.json');
  try {
    writeFileSync(join(root, 'node_modules', stampName), `${fingerprint(source)}\n`);
  } catch {
    // A read-only installation works as well; it is only compared in full at each start.
  }
}

/** @param {string} path */
function fingerprint(path) {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** @param {string} path @returns {LockFile} */
function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new SetUpError(`${path} is not valid JSON: ${error instanceof Error ? error.message : error}`, [
      'Restore it, or remove node_modules and run again.',
    ]);
  }
}

/**
 * The npm that started this script, run by this Node, or else the one on the path. A Node inside node_modules cannot
 * run npm here: npm may replace it.
 *
 * @param {string} root
 * @returns {{ program: string, first: string[] }}
 */
function npmProgram(root) {
  const script = process.env.npm_execpath;
  if (script && basename(script).startsWith('npm-cli') && !isInside(join(root, 'node_modules'), process.execPath)) {
    return { program: process.execPath, first: [script] };
  }
  return { program: 'npm', first: [] };
}

/** `npm run` puts node_modules/.bin first on the path, where the Node lies that npm is about to replace. */
/** @param {string} root */
function environmentWithoutOwnBinaries(root) {
  const name = Object.keys(process.env).find((key) => key.toUpperCase() === 'PATH') ?? 'PATH';
  const own = join(root, 'node_modules');
  const entries = (process.env[name] ?? '').split(delimiter).filter((entry) => !isInside(own, entry));
  return { ...process.env, [name]: entries.join(delimiter) };
}

/** @param {string} folder @param {string} path */
function isInside(folder, path) {
  const way = relative(folder, path);
  return way !== '' && !way.startsWith('..') && way !== path;
}
