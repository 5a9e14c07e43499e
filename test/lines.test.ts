/** Lines of at most 120 columns, which the formatter leaves longer where they hold comments, texts or WGSL. */

import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const columns = 120;

const folders = ['bench', 'bin', 'docs', 'kernels', 'scripts', 'server', 'src', 'test'];
const written = /\.(?:[jt]s|mjs|wgsl|css|py|md)$/;

/** What others wrote, and what is written by a program or as a table of one case a line. */
const excepted = [
  ...['test/fixtures/', 'test/library/consumer/node_modules/', 'docs/experiments/', 'docs/settings.md'],
  ...['test/parity/checkpoint_cases.py', 'test/reference/chat_templates.py'],
];

const files = [
  ...['README.md', 'CHANGELOG.md'],
  ...folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name.replaceAll('\\', '/')}`),
  ),
].filter((file) => written.test(file) && !excepted.some((place) => file.startsWith(place)));

/** Lines that cannot be broken: regular expressions, tables, addresses, and what is copied as it stands. */
function isWhole(file: string, line: string): boolean {
  if (/^\s*\/[^/*]/.test(line) || line.includes('biome-ignore')) return true;
  return file.endsWith('.md') && (line.startsWith('|') || /https?:\/\/|^<picture/.test(line));
}

/** The lines of a file that are too long, with their numbers. */
function longLines(file: string, text: string): string[] {
  let isCopied = false;
  return text.split('\n').flatMap((line, index) => {
    if (file.endsWith('.md') && /^\s*```/.test(line)) isCopied = !isCopied;
    if ([...line].length <= columns || isCopied || isWhole(file, line)) return [];
    return [`${file}:${index + 1}: ${line.trim().slice(0, 60)} …`];
  });
}

test('are found where they are too long', () => {
  const long = 'a'.repeat(columns + 1);
  expect(longLines('a.ts', `${long}\n${'🙂'.repeat(columns)}\n  /${long}/,`)).toEqual([`a.ts:1: ${'a'.repeat(60)} …`]);
  expect(longLines('a.md', `| ${long} |\n\`\`\`\n${long}\n\`\`\`\n${long}`)).toEqual([`a.md:5: ${'a'.repeat(60)} …`]);
});

test('are nowhere in the project', () => {
  expect(files.length).toBeGreaterThan(1000);
  expect(files.flatMap((file) => longLines(file, readFileSync(file, 'utf8')))).toEqual([]);
});
