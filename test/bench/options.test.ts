/** What a benchmark says of options and names that it does not know, before it measures anything. */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { benchFamilies } from '../../bench/families.ts';
import { benchReading } from '../../bench/reading.ts';

describe('bench families', () => {
  test.each([
    [['--rows', 'many'], '--rows must be a whole number from 1; got "many"'],
    [['--rows', '256,'], '--rows must be a whole number from 1; got ""'],
    [['--rows', '255'], '--rows must be even; got 255'],
    [['--rows', '256,96', '--tokens', '32'], '--tokens must divide half of the rows, 48 of 96; got 32'],
    [['--rank', '0'], '--rank must be a whole number from 1; got "0"'],
    [['--repeat', 'x'], '--repeat must be a whole number from 1; got "x"'],
    [['--family', 'bert'], '--family bert is not one of qwen3.5, lfm2, gemma4, gemma4-inputs'],
  ])('%j is refused', async (args, message) => {
    await expect(benchFamilies(args)).rejects.toThrow(message);
  });
});

describe('bench reading', () => {
  test.each(['--limit', '--rounds'])('%s 0 is refused', async (option) => {
    await expect(benchReading([option, '0'])).rejects.toThrow(`${option} must be a whole number from 1; got "0"`);
  });

  test('measures this tree, and another one in turns', async () => {
    const lines: string[] = [];
    const log = vi.spyOn(console, 'log').mockImplementation((text: string) => lines.push(...text.split('\n')));
    try {
      const root = fileURLToPath(new URL('../..', import.meta.url));
      expect(await benchReading(['--limit', '20', '--rounds', '1', '--against', root])).toBe(0);
    } finally {
      log.mockRestore();
    }
    expect(lines[0]).toMatch(/^20 rows of \d+ tokens; medians of 1 turns/);
    // A head, a rule, and a row for each tree.
    expect(lines.filter((line) => line.startsWith('|'))).toHaveLength(4);
  });
});

describe('bench', () => {
  const program = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));
  const run = (...args: string[]) => spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });

  test('a benchmark that there is not is named, and those that there are', () => {
    const { status, stdout, stderr } = run('lod');
    expect(stderr).toMatch(/^error: there is no benchmark "lod"; there are all, bank, .*, load, .*\n.*--help/);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  });

  test('without a name it says what each measures, and --help of one its options', () => {
    expect(run().stdout).toMatch(/^load +how long a model takes to load/m);
    expect(run('load', '--help').stdout).toMatch(/^npm run bench -- load \[options\]\n.*\nload: how long/s);
  });
});
