/**
 * `bench reading`: what a row of data costs the start of a run, in processor time of all threads.
 *
 * @module
 */

import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { DataSource } from '../src/data/source.ts';
import { SubzeroError } from '../src/errors.ts';
import { median } from '../src/experiments/statistics.ts';
import { markdownTable } from '../src/table.ts';

export const usage = `npm run bench -- reading [options]
  --model PATH         whose tokenizer it is (default examples/reviews-3m)
  --data PATH          the rows (default examples/sst2)
  --task NAME          the task that they are for, or none (default sst2)
  --limit N            rows to read (default 1000)
  --rounds N           turns, after one that is not counted (default 3)
  --against DIR        another checkout of this project, in turns with this one`;

/** Tokens of a sequence at most. */
const contextLength = 2048;

/** What is measured of a tree. */
async function openTree(root: URL) {
  const [examples, load, tokenizer] = await Promise.all([
    import(new URL('src/train/examples.ts', root).href) as Promise<typeof import('../src/train/examples.ts')>,
    import(new URL('src/data/load.ts', root).href) as Promise<typeof import('../src/data/load.ts')>,
    import(new URL('src/tokenizer/index.ts', root).href) as Promise<typeof import('../src/tokenizer/index.ts')>,
  ]);
  return { ...examples, ...load, ...tokenizer };
}

/** Microseconds of a row, but for the first: milliseconds. */
interface Turn {
  tokenizer: number;
  reading: number;
  tokenising: number;
  fingerprint: number;
}

export async function benchReading(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: 'string', default: 'examples/reviews-3m' },
      data: { type: 'string', default: 'examples/sst2' },
      task: { type: 'string', default: 'sst2' },
      limit: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '3' },
      against: { type: 'string' },
    },
  });
  const whole = (name: 'limit' | 'rounds'): number => {
    const number = Number(values[name]);
    if (Number.isSafeInteger(number) && number >= 1) return number;
    throw new SubzeroError('invalid_argument', `--${name} must be a whole number from 1; got "${values[name]}"`);
  };
  const [limit, rounds] = [whole('limit'), whole('rounds')];
  const { model, data, task, against } = values;
  const source: DataSource = task === 'none' ? { file: data } : { task, directory: data };
  const own = { name: 'this one', root: new URL('..', import.meta.url) };
  const other = against === undefined ? [] : [{ name: against, root: pathToFileURL(`${against}/`) }];
  const trees = [own, ...other].map((tree) => ({
    ...tree,
    turns: [] as Turn[],
    fingerprint: '',
    rows: 0,
    tokens: 0,
  }));
  for (let round = 0; round <= rounds; round++) {
    for (const tree of trees) {
      const { loadTokenizer, openDataset, loadTokenized, fingerprintOf } = await openTree(tree.root);
      const loaded = await timed(() => loadTokenizer(model));
      const read = await timed(async () => {
        let rows = 0;
        for await (const _ of (await openDataset(source, { chat: loaded.result, limit })).examples) rows++;
        return rows;
      });
      const all = await timed(() => loadTokenized(model, source, { split: 'train', contextLength, limit }));
      const print = await timed(async () => fingerprintOf(all.result.examples));
      tree.fingerprint = print.result;
      tree.rows = read.result;
      tree.tokens = all.result.lengths.values().reduce((sum, length) => sum + length, 0);
      const ofRow = (seconds: number): number => (1e6 * seconds) / read.result;
      // What it takes until machine code is made counts in no turn.
      if (round === 0) continue;
      tree.turns.push({
        tokenizer: 1e3 * loaded.seconds,
        reading: ofRow(read.seconds),
        tokenising: ofRow(all.seconds - loaded.seconds - read.seconds),
        fingerprint: ofRow(print.seconds),
      });
    }
  }
  const figure = (turns: readonly Turn[], name: keyof Turn): string =>
    median(turns.map((turn) => turn[name])).toFixed(1);
  const { rows, tokens } = trees[0]!;
  console.log(`${rows} rows of ${(tokens / rows).toFixed(0)} tokens; medians of ${rounds} turns, microseconds a row\n`);
  console.log(
    markdownTable(
      ['tree', 'reading', 'tokenising', 'fingerprint', 'tokenizer, ms in all'],
      trees.map(({ name: tree, turns }) => [
        tree,
        ...(['reading', 'tokenising', 'fingerprint', 'tokenizer'] as const).map((name) => figure(turns, name)),
      ]),
    ),
  );
  if (trees.every(({ fingerprint }) => fingerprint === trees[0]!.fingerprint)) return 0;
  console.error('error: the trees make different tokens of these rows');
  return 1;
}

/** Runs something and says how much time processors spent meanwhile, in seconds. */
async function timed<Result>(run: () => Promise<Result>): Promise<{ result: Result; seconds: number }> {
  const before = process.cpuUsage();
  const result = await run();
  const { user, system } = process.cpuUsage(before);
  return { result, seconds: (user + system) / 1e6 };
}
