import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/types.ts';
import { conduct, type ExperimentEvent } from '../../src/experiments/conduct.ts';
import { type Cell, defineExperiment, type ExperimentRequest } from '../../src/experiments/experiment.ts';
import { removeTemporary, temporaryFolder } from '../train/tiny.ts';

afterAll(removeTemporary);

const engine = { info: async () => ({ adapter: { description: 'a card', device: '' } }) } as unknown as Engine;
const request: ExperimentRequest = { model: 'm', data: { file: 'd' }, seeds: [1, 2, 3] };

/** Squares of seeds, and one cell more when these are known. Counts what it measures. */
function squares(measured: Cell[], failAt = -1) {
  return defineExperiment<number>({
    title: 'Squares',
    question: 'What is the square?',
    method: 'By multiplication.',
    reads: [],
    cells: ({ seeds }, finished) => [
      ...seeds.map((seed) => ({ seed, kind: 'square' })),
      ...(finished.length >= seeds.length
        ? [{ kind: 'sum', of: finished.slice(0, 3).reduce((sum, { result }) => sum + result, 0) }]
        : []),
    ],
    async measure({ signal }, cell) {
      measured.push(cell);
      if (cell.seed === failAt) throw new Error('the power failed');
      expect(signal.aborted).toBe(false);
      return cell.kind === 'sum' ? Number(cell.of) : Number(cell.seed) ** 2;
    },
    report: (_, finished) => ({
      lead: `The sum is ${finished.at(-1)!.result}.`,
      sections: [
        {
          title: 'All',
          table: { header: ['cell', 'value'], rows: finished.map(({ result }, i) => [String(i), String(result)]) },
        },
        { title: 'A plot', plot: { name: 'plot.svg', svg: '<svg/>', describes: 'nothing' } },
      ],
    }),
  });
}

async function run(
  out: string,
  experiment: ReturnType<typeof squares>,
  own: Partial<ExperimentRequest> = {},
  stopAfter = 99,
) {
  const stop = new AbortController();
  const events: ExperimentEvent[] = [];
  const made = { name: 'squares', experiment, request: { ...request, ...own }, out };
  for await (const event of conduct(engine, made, stop.signal)) {
    events.push(event);
    if (event.type === 'finished' && event.done >= stopAfter) stop.abort();
  }
  return events;
}

test('measures every cell once, those too that follow from others, and writes the report', async () => {
  const out = temporaryFolder();
  const measured: Cell[] = [];
  const events = await run(out, squares(measured));
  expect(measured).toEqual([
    { seed: 1, kind: 'square' },
    { seed: 2, kind: 'square' },
    { seed: 3, kind: 'square' },
    { kind: 'sum', of: 14 },
  ]);
  expect(events.at(-1)).toMatchObject({ type: 'done', lead: 'The sum is 14.', complete: true });
  const report = readFileSync(join(out, 'report.md'), 'utf8');
  expect(report).toMatch(/^# Squares\n\nThe sum is 14\.\n/);
  expect(report).toContain('| cell | value |');
  expect(report).toContain('![nothing](plot.svg)');
  expect(report).toContain('adapter: a card');
  expect(report).toContain('\n\nBy multiplication.\n\n');
  expect(readFileSync(join(out, 'plot.svg'), 'utf8')).toBe('<svg/>');
  expect(readFileSync(join(out, 'cells.jsonl'), 'utf8').split('\n')).toHaveLength(5);
});

test('the report says what was given of what the method has defaults for', async () => {
  const out = temporaryFolder();
  await run(out, { ...squares([]), reads: ['steps', 'ranks'] }, { steps: 7, ranks: [2, 8] });
  expect(readFileSync(join(out, 'report.md'), 'utf8')).toContain(
    '\n\nBy multiplication. Given for this report: `--ranks 2,8 --steps 7`.\n\n',
  );
});

test('goes on after an interruption, a failure and a half-written line, without measuring anything twice', async () => {
  const out = temporaryFolder();
  const measured: Cell[] = [];
  expect((await run(out, squares(measured), {}, 1)).at(-1)).toMatchObject({ type: 'done', complete: false });
  expect(readFileSync(join(out, 'report.md'), 'utf8')).toContain('Not all cells are measured yet');
  await expect(run(out, squares(measured, 3))).rejects.toThrow('the power failed');
  expect(measured.map(({ seed }) => seed)).toEqual([1, 2, 3]);
  const file = join(out, 'cells.jsonl');
  writeFileSync(file, `${readFileSync(file, 'utf8')}{"cell":{"seed":3`);
  const again: Cell[] = [];
  const events = await run(out, squares(again));
  expect(again.map(({ seed }) => seed)).toEqual([3, undefined]);
  expect(events[0]).toMatchObject({ type: 'start', finished: 2, cells: 3 });
  expect(events.at(-1)).toMatchObject({ complete: true });
  const nothing: Cell[] = [];
  await run(out, squares(nothing));
  expect(nothing).toEqual([]);
});

test('what cells share is kept from one to the next, and through an interruption, until all are measured', async () => {
  const out = temporaryFolder();
  const found: string[] = [];
  const sharing = {
    ...squares([]),
    measure: async ({ kept }: { kept: string }, cell: Cell) => {
      found.push(existsSync(kept) ? readFileSync(join(kept, 'shared'), 'utf8') : 'nothing');
      mkdirSync(kept, { recursive: true });
      writeFileSync(join(kept, 'shared'), String(cell.seed));
      return 1;
    },
  };
  await run(out, sharing, {}, 2);
  await run(out, sharing);
  expect(found).toEqual(['nothing', '1', '2', '3']);
  expect(existsSync(join(out, 'kept'))).toBe(false);
});

test('what shared cells left before the first was measured is not taken for that of other settings', async () => {
  const out = temporaryFolder();
  const failing = {
    ...squares([]),
    measure: async ({ kept }: { kept: string }) => {
      mkdirSync(kept, { recursive: true });
      throw new Error('the power failed');
    },
  };
  await expect(run(out, failing)).rejects.toThrow('the power failed');
  expect(existsSync(join(out, 'kept'))).toBe(false);
  expect((await run(out, squares([]), { seeds: [5] })).at(-1)).toMatchObject({ complete: true });
});

test('a measurement that fails because it was interrupted is an interruption', async () => {
  const out = temporaryFolder();
  const stop = new AbortController();
  const interrupted = {
    ...squares([]),
    measure: async ({ signal }: { signal: AbortSignal }) => {
      stop.abort();
      signal.throwIfAborted();
    },
  };
  const events: ExperimentEvent[] = [];
  const made = { name: 'squares', experiment: interrupted, request, out };
  for await (const event of conduct(engine, made, stop.signal)) events.push(event);
  expect(events.map(({ type }) => type)).toEqual(['start', 'cell']);
  expect((await run(out, squares([]))).at(-1)).toMatchObject({ complete: true });
});

test('a folder belongs to one experiment with its settings, and to one process at a time', async () => {
  const out = temporaryFolder();
  await run(out, squares([]));
  await expect(run(out, squares([]), { seeds: [1] })).rejects.toThrow(
    /holds the experiment "squares" with other settings/,
  );
  const other = temporaryFolder();
  const first = conduct(
    engine,
    { name: 'squares', experiment: squares([]), request, out: other },
    new AbortController().signal,
  );
  await first.next();
  await expect(run(other, squares([]))).rejects.toMatchObject({ code: 'conflict' });
  await first.return(undefined);
});

test('a folder of an earlier version is reported as that measured it, and nothing is added', async () => {
  const out = temporaryFolder();
  await run(out, squares([]), {}, 2);
  const measured: Cell[] = [];
  const later = { ...squares(measured), earlier: ['squares were rounded'] };
  const events = await run(out, later);
  expect(events.map(({ type }) => type)).toEqual(['start', 'done']);
  expect(events[0]).toMatchObject({ finished: 2, otherwise: 'squares were rounded' });
  const report = readFileSync(join(out, 'report.md'), 'utf8');
  expect(report).toContain('Measured by an earlier version of this experiment');
  expect(report).toContain('Then squares were rounded.');
  expect(report).not.toContain('goes on with them');
  expect(measured).toEqual([]);
  await expect(run(out, later, { seeds: [1] })).rejects.toThrow(/with other settings/);
  // A folder in which nothing was measured, and one of this version.
  const other = temporaryFolder();
  const { experiment, request: own } = JSON.parse(readFileSync(join(out, 'experiment.json'), 'utf8'));
  writeFileSync(join(other, 'experiment.json'), `${JSON.stringify({ experiment, request: own }, null, 2)}\n`);
  await run(other, later, {}, 2);
  expect((await run(other, later)).at(-1)).toMatchObject({ complete: true });
  expect(measured).toHaveLength(4);
});

test('data that are missing are named before anything is measured, and the folder stays free', async () => {
  const out = temporaryFolder();
  const measured: Cell[] = [];
  const reading = { ...squares(measured), data: ['train', 'evaluation'] as const };
  const there = temporaryFolder();
  await expect(run(out, reading, { data: { file: join(there, 'none.jsonl') } })).rejects.toThrow(
    /none\.jsonl does not exist/,
  );
  const sst2 = { task: 'sst2', directory: there };
  await expect(run(out, reading, { data: sst2 })).rejects.toThrow(/has no train file of task sst2/);
  writeFileSync(join(there, 'train.jsonl'), '');
  // Otherwise it would be missed after hours of training.
  await expect(run(out, reading, { data: sst2 })).rejects.toThrow(/has no evaluation file of task sst2/);
  expect(measured).toEqual([]);
  writeFileSync(join(there, 'dev.jsonl'), '');
  expect((await run(out, reading, { data: sst2 })).at(-1)).toMatchObject({ complete: true });
});

test('settings that are refused leave the folder free', async () => {
  const out = temporaryFolder();
  const refusing = {
    ...squares([]),
    cells: () => {
      throw new Error('no such task');
    },
  };
  await expect(run(out, refusing)).rejects.toThrow('no such task');
  const events = await run(out, squares([]), { seeds: [1] });
  expect(events.at(-1)).toMatchObject({ type: 'done', complete: true });
});
