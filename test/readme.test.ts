/** The table of test/README.md: what it names is there, and every folder of tests is a mirror or named in it. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const text = readFileSync(new URL('README.md', import.meta.url), 'utf8');
const folder = fileURLToPath(new URL('.', import.meta.url));

/** Paths in code quotes, from this folder; those of the sources and commands are no tests. */
const paths = [...text.matchAll(/`([^`\s]+(?:\/|\.ts|\.py|\.json))`/g)].map((match) => match[1]!);

test('every test that the table names exists', () => {
  expect(paths.length).toBeGreaterThan(50);
  const tests = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const found = (path: string): boolean => {
    const [start, end] = path.split('*');
    if (end !== undefined) return tests.some((name) => name.startsWith(start!) && name.endsWith(end));
    return ['', '../'].some((root) => existsSync(`${folder}${root}${path}`));
  };
  expect(paths.filter((path) => !found(path))).toEqual([]);
});

test('every folder of tests mirrors one of sources or stands in the table', () => {
  const folders = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.length).toBeGreaterThan(30);
  const mirrors = (name: string): boolean => ['src/', ''].some((root) => existsSync(`${folder}../${root}${name}`));
  const named = (name: string): boolean => paths.some((path) => path.startsWith(`${name}/`));
  expect(folders.map(({ name }) => name).filter((name) => !mirrors(name) && !named(name))).toEqual([]);
});
