/**
 * What `npm test` and `npm run test:long` consist of: a list of phases, each one command.
 *
 * @module
 */

import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/**
 * @typedef {object} TestCount
 * @property {number} passed
 * @property {number} failed
 *
 * @typedef {object} Phase
 * @property {string} name
 * @property {string} headline
 * @property {string[]} command program and arguments
 * @property {Record<string, string>} [environment] added to that of the set-up
 * @property {boolean} [captured] the output is needed for the count, so it is read while it is shown
 * @property {(output: string) => TestCount} [count] reads how many tests ran; absent where nothing is counted
 * @property {() => string[]} [notes] lines to be shown after it, failed or not
 */

/**
 * @param {{ root: string, node: string, scratch: string, arguments: string[] }} situation `scratch` is a folder for
 *   the phases' own files; `arguments` go to vitest
 * @returns {Phase[]}
 */
export function testPhases({ root, node, scratch, arguments: extra }) {
  const modules = join(root, 'node_modules');
  const runtimes = [
    { name: 'node', command: [node] },
    { name: 'bun', command: [existingBinary(join(modules, 'bun', 'bin'), 'bun')] },
    { name: 'deno', command: [existingBinary(join(modules, 'deno'), 'deno'), 'run', '--allow-all'] },
  ];
  return [
    {
      name: 'lint',
      headline: 'lint and format (biome)',
      // Left to itself, `biome ci` colours its output even where it goes to a file.
      command: [
        node,
        join(modules, '@biomejs', 'biome', 'bin', 'biome'),
        'ci',
        `--colors=${process.stdout.isTTY ? 'force' : 'off'}`,
        '.',
      ],
    },
    {
      name: 'types',
      headline: 'types (tsc)',
      command: [node, join(modules, 'typescript', 'bin', 'tsc'), '--noEmit'],
    },
    vitestPhase({ root, node, scratch, name: 'tests', headline: 'tests (vitest)', extra }),
    ...runtimes.map(({ name, command }) => ({
      name: `smoke on ${name}`,
      headline: `smoke suite on ${name}`,
      command: [...command, join(root, 'test', 'runtimes', 'smoke.ts')],
      captured: true,
      count: countSmoke,
    })),
  ];
}

/**
 * @param {{ root: string, node: string, scratch: string, arguments: string[] }} situation
 * @returns {Phase[]}
 */
export function longTestPhases({ root, node, scratch, arguments: extra }) {
  const config = ['--config', join(root, 'vitest.long.config.ts')];
  const headline = 'long tests (vitest)';
  return [vitestPhase({ root, node, scratch, name: 'long tests', headline, extra: [...config, ...extra] })];
}

/**
 * @param {{ root: string, node: string, scratch: string, name: string, headline: string, extra: string[] }} situation
 * @returns {Phase}
 */
function vitestPhase({ root, node, scratch, name, headline, extra }) {
  const report = join(scratch, 'vitest.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  return {
    name,
    headline,
    command: [node, join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', ...reporters, ...extra],
    count: () => countVitest(existsSync(report) ? readFileSync(report, 'utf8') : ''),
    notes: () => (existsSync(report) ? slowestFiles(readFileSync(report, 'utf8'), root) : []),
  };
}

/** Enough to see which file a change has made slow. */
const filesShown = 10;

/**
 * The files that took longest, so that whoever makes the tests slower sees it.
 *
 * @param {string} report what vitest's json reporter wrote
 * @param {string} root the names of files are shown from there on
 * @returns {string[]}
 */
export function slowestFiles(report, root) {
  /** @type {{ name: string, startTime: number, endTime: number }[]} */
  const results = JSON.parse(report).testResults;
  const files = results
    .map(({ name, startTime, endTime }) => ({ name: relative(root, name), seconds: (endTime - startTime) / 1000 }))
    .toSorted((a, b) => b.seconds - a.seconds);
  const total = files.reduce((sum, { seconds }) => sum + seconds, 0);
  return [
    `${files.length} files, ${total.toFixed(0)} s over all workers; the longest:`,
    ...files.slice(0, filesShown).map(({ name, seconds }) => `${seconds.toFixed(1).padStart(7)} s  ${name}`),
  ];
}

/**
 * @param {string} report what vitest's json reporter wrote
 * @returns {TestCount}
 */
export function countVitest(report) {
  if (report === '') return { passed: 0, failed: 0 };
  const { numPassedTests, numFailedTests } = JSON.parse(report);
  return { passed: numPassedTests, failed: numFailedTests };
}

/**
 * The smoke suite runs without a test framework and ends with a line such as `smoke: 12 passed, 0 failed`.
 *
 * @param {string} output
 * @returns {TestCount}
 */
export function countSmoke(output) {
  const match = [...output.matchAll(/^smoke: (\d+) passed, (\d+) failed\s*$/gm)].at(-1);
  return match ? { passed: Number(match[1]), failed: Number(match[2]) } : { passed: 0, failed: 0 };
}

/**
 * @param {string} folder
 * @param {string} name
 * @returns {string} the npm packages name the file `.exe` on Windows, and bun's does so everywhere
 */
function existingBinary(folder, name) {
  const plain = join(folder, name);
  return existsSync(plain) ? plain : `${plain}.exe`;
}
