import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEngine } from '../../src/engine/client.ts';
import type { Engine } from '../../src/engine/types.ts';
import type { Experiment, ExperimentRequest, Finished } from '../../src/experiments/experiment.ts';
import { experiments } from '../../src/experiments/index.ts';
import { optionRows, removeTemporary, temporaryFolder, tinyModel } from '../train/tiny.ts';

interface Curve {
  points: { step: number; value: number }[];
  trainSeconds: number;
}

const named = (name: string) => experiments[name] as Experiment<Curve>;
const shipped = fileURLToPath(new URL('../../examples/rewards', import.meta.url));

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine();
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

const signal = new AbortController().signal;

describe('curves by reward', () => {
  test.each([
    ['reward-json', 'json'],
    ['reward-length', 'length'],
  ])('%s trains and evaluates the run at steps that are as far apart as can be', async (name, folder) => {
    const request: ExperimentRequest = {
      ...{ model: tinyModel(), data: { file: join(shipped, folder) }, seeds: [1], steps: 3, limit: 4 },
    };
    const [cell] = await named(name).cells(request, []);
    const { points } = await named(name).measure(
      { engine, request, folder: temporaryFolder(), kept: temporaryFolder(), signal },
      cell!,
    );
    expect(points.map(({ step }) => step)).toEqual([0, 1, 2, 3]);
    for (const { value } of points) expect([0, 0.25, 0.5, 0.75, 1]).toContain(value);
  });

  test('reward-accuracy has two ways with the same batches and evaluates options', async () => {
    const file = join(temporaryFolder(), 'rows.jsonl');
    const held = join(temporaryFolder(), 'held.jsonl');
    writeFileSync(file, optionRows(24));
    writeFileSync(held, optionRows(16));
    const data = { data: { file }, validation: { file: held } };
    const request: ExperimentRequest = { model: tinyModel(), ...data, seeds: [1, 2], steps: 1, limit: 8 };
    const cells = await named('reward-accuracy').cells(request, []);
    expect(cells.map(({ way, seed }) => `${way} ${seed}`)).toEqual([
      ...['accuracy (0/1) 1', 'accuracy (0/1) 2', 'cross-entropy 1', 'cross-entropy 2'],
    ]);
    const { points } = await named('reward-accuracy').measure(
      { engine, request, folder: temporaryFolder(), kept: temporaryFolder(), signal },
      cells[0]!,
    );
    expect(points.map(({ step }) => step)).toEqual([0, 1]);
    for (const { value } of points) expect(value * 8).toBeCloseTo(Math.round(value * 8), 9);
  });

  test('the report has the curve with intervals over the seeds and says whether they show a difference', async () => {
    const finishedWith = (last: readonly number[]): Finished<Curve>[] =>
      last.map((value, seed) => ({
        cell: { way: 'reward', learningRate: 0.001, seed },
        result: {
          points: [
            { step: 0, value: 0.25 },
            { step: 200, value },
          ],
          trainSeconds: 10,
        },
        seconds: 12,
      }));
    const request = { model: 'm', data: { file: 'f' }, seeds: [0, 1, 2] };
    const sure = await named('reward-json').report(request, finishedWith([0.74, 0.75, 0.76]));
    expect(sure.lead).toMatch(/from 0\.250 to 0\.750 ± 0\.025, a gain beyond the interval of the difference/);
    expect(sure.sections[0]!.plot!.svg).toContain('</svg>');
    expect(sure.sections[0]!.table!.rows[0]).toEqual([
      ...['reward, η 0.001', '3', '0.250 ± 0.000', '0.750 ± 0.025', '0.500 ± 0.025', expect.any(String), '10 s'],
    ]);
    const unsure = await named('reward-json').report(request, finishedWith([0.1, 0.3, 0.4]));
    expect(unsure.lead).toContain('within the interval of the difference');
    const worse = await named('reward-json').report(request, finishedWith([0.04, 0.05, 0.06]));
    expect(worse.lead).toContain('a loss beyond the interval of the difference');
    const single = await named('reward-json').report(request, finishedWith([0.75]));
    expect(single.lead).toContain('one seed, which has no interval');
  });

  test('copies of a file and links to it are that file', async () => {
    const [train, copy, link] = ['train', 'copy', 'link'].map((name) => join(temporaryFolder(), `${name}.jsonl`));
    for (const path of [train!, copy!]) writeFileSync(path, optionRows(24));
    symlinkSync(train!, link!);
    for (const path of [copy!, link!]) {
      const request = { model: tinyModel(), data: { file: train! }, validation: { file: path }, seeds: [1] };
      await expect(async () => named('reward-accuracy').cells(request, [])).rejects.toThrow(
        `${path} would be trained on`,
      );
    }
  });

  test('reward-json grades the prompts of rows as they are, which no columns make', async () => {
    const request: ExperimentRequest = {
      ...{ model: tinyModel(), data: { file: join(shipped, 'json') }, seeds: [1] },
      reading: { columns: ['prompt=said'] },
    };
    await expect(async () => named('reward-json').cells(request, [])).rejects.toThrow(/grades the "prompt" of rows/);
    await expect(named('reward-length').cells(request, [])).resolves.toHaveLength(1);
  });

  test('a file alone, which would be trained on and evaluated, is refused', async () => {
    const file = join(temporaryFolder(), 'rows.jsonl');
    writeFileSync(file, optionRows(24));
    const request: ExperimentRequest = { model: tinyModel(), data: { file }, seeds: [1] };
    await expect(async () => named('reward-accuracy').cells(request, [])).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining(`${file} would be trained on and evaluated`),
    });
  });

  test('no row that is evaluated is trained on', () => {
    for (const folder of ['json', 'length']) {
      const [train, held] = ['train', 'test'].map((file) =>
        readFileSync(join(shipped, folder, `${file}.jsonl`), 'utf8')
          .trim()
          .split('\n'),
      );
      expect(new Set([...train!, ...held!]).size).toBe(96);
      expect(held).toHaveLength(32);
    }
  });
});
