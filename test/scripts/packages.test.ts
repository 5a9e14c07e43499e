import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ensurePackages, installationMatches, packagesState } from '../../scripts/set-up/packages.mjs';

const lock = {
  packages: {
    '': { version: '0.1.0' },
    'node_modules/a': { version: '1.0.0' },
    'node_modules/a-windows': { version: '1.0.0', optional: true },
  },
};
const installed = { packages: { 'node_modules/a': { version: '1.0.0' } } };

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'subzero packages '));
  writeFileSync(join(root, 'package.json'), '{}');
  writeFileSync(join(root, 'package-lock.json'), JSON.stringify(lock));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true });
});

function installByHand(record: unknown = installed) {
  mkdirSync(join(root, 'node_modules'), { recursive: true });
  writeFileSync(join(root, 'node_modules', '.package-lock.json'), JSON.stringify(record));
}

/** Puts an `npm` first on the path that notes its arguments and installs, or fails. */
function fakeNpm(exitCode = 0) {
  const bin = join(root, 'bin');
  mkdirSync(bin);
  const record = `mkdir -p node_modules && echo '${JSON.stringify(installed)}' > node_modules/.package-lock.json`;
  writeFileSync(
    join(bin, 'npm'),
    `#!/bin/sh\necho "$@" >> npm-calls\nprintf %s "$PATH" > npm-path\n${record}\nexit ${exitCode}\n`,
  );
  chmodSync(join(bin, 'npm'), 0o755);
  vi.stubEnv('npm_execpath', '');
  vi.stubEnv('PATH', [join(root, 'node_modules', '.bin'), bin, process.env.PATH].join(delimiter));
}

const calls = () => (existsSync(join(root, 'npm-calls')) ? readFileSync(join(root, 'npm-calls'), 'utf8').trim() : '');

describe('installationMatches', () => {
  it('wants every package in its version; those for other systems may be absent', () => {
    expect(installationMatches(lock, installed)).toBe(true);
    expect(installationMatches(lock, { packages: {} })).toBe(false);
    expect(installationMatches(lock, { packages: { 'node_modules/a': { version: '0.9.0' } } })).toBe(false);
  });
});

describe('packagesState', () => {
  it('tells missing, outdated and up to date apart', () => {
    expect(packagesState(root)).toBe('missing');
    installByHand({ packages: { 'node_modules/a': { version: '0.9.0' } } });
    expect(packagesState(root)).toBe('outdated');
    installByHand();
    expect(packagesState(root)).toBe('up to date');
  });
  it('sees a lock file that changed after the last time', () => {
    installByHand();
    expect(packagesState(root)).toBe('up to date');
    const newer = { packages: { ...lock.packages, 'node_modules/b': { version: '2.0.0' } } };
    writeFileSync(join(root, 'package-lock.json'), JSON.stringify(newer));
    expect(packagesState(root)).toBe('outdated');
  });
  it('takes an interrupted installation for a missing one', () => {
    mkdirSync(join(root, 'node_modules'));
    expect(packagesState(root)).toBe('missing');
  });
});

describe('ensurePackages', () => {
  it('installs once, development packages included, and never again', () => {
    fakeNpm();
    const lines: string[] = [];
    ensurePackages(root, (line) => lines.push(line));
    expect(lines).toEqual(['packages: not installed yet; running npm install']);
    expect(calls()).toBe('install --no-save --include=dev --no-audit --no-fund');
    ensurePackages(root, (line) => lines.push(line));
    expect(lines).toHaveLength(1);
    expect(calls().split('\n')).toHaveLength(1);
  });
  it('keeps the Node that npm is about to replace off the path', () => {
    fakeNpm();
    ensurePackages(root, () => {});
    const entries = readFileSync(join(root, 'npm-path'), 'utf8').split(delimiter);
    expect(entries[0]).toBe(join(root, 'bin'));
    expect(entries).not.toContain(join(root, 'node_modules', '.bin'));
  });
  it('works without a lock file', () => {
    rmSync(join(root, 'package-lock.json'));
    fakeNpm();
    ensurePackages(root, () => {});
    expect(calls()).toMatch(/^install /);
    ensurePackages(root, () => {});
    expect(calls().split('\n')).toHaveLength(1);
  });
  it('fails with a clear message and leaves no stamp when npm fails', () => {
    fakeNpm(7);
    expect(() => ensurePackages(root, () => {})).toThrow('npm install failed (exit code 7)');
    expect(existsSync(join(root, 'node_modules', '.installed-lock-hash'))).toBe(false);
  });
});
