/** Runs whose factors or state are too large for one storage binding, forced by a tiny limit. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { SubzeroError } from '../../src/errors.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { checkFactors } from '../../src/zo/binding-limits.ts';
import { openTestGpu } from '../support/gpu.ts';
import { collect, optionRows, quick, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

const gpu = openTestGpu({ maxStorageBufferBindingSize: 16 * 1024 });
let engine: LocalEngine;
let model: string;
let file: string;
beforeAll(() => {
  engine = new LocalEngine(gpu());
  model = tinyModel('llama-tiny');
  file = writeRows(optionRows());
});
afterAll(removeTemporary);

const request = (configuration: Partial<TrainConfiguration>) => ({
  ...{ model, data: { file }, out: join(temporaryFolder(), 'run') },
  configuration: { ...quick, batchSize: 1, steps: 3, ...configuration },
});

/** The error of a run, which leaves nothing behind. */
async function refused(configuration: Partial<TrainConfiguration>): Promise<SubzeroError> {
  const run = request(configuration);
  const held = () => {
    const { weights = 0, factors = 0, state = 0 } = gpu().memory.report().byCategory;
    return { weights, factors, state };
  };
  const before = held();
  const error = await collect(engine.train(run)).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SubzeroError);
  expect(existsSync(run.out)).toBe(false);
  expect(held()).toEqual(before);
  return error as SubzeroError;
}

test('a matrix whose U is too long for its rank is named, with the rank that fits', async () => {
  const parameters = ['model.embed_tokens.weight'];
  const error = await refused({ rank: 32, parameters });
  expect(error).toMatchObject({ code: 'unsupported', parameter: 'rank' });
  expect(error.message).toBe(
    'rank: 32 makes U of model.embed_tokens.weight [160, 32] a buffer of 20.0 KiB; one storage binding of this ' +
      'adapter holds at most 16.0 KiB. You can choose a rank of at most 24, or leave the matrix out by a pattern of ' +
      'parameters, "!model.embed_tokens.weight".',
  );
  // What it says is so: 160 × 24 × 4 bytes fit, 160 × 25 are stored as 160 × 28.
  const events = await collect(engine.train(request({ rank: 24, parameters })));
  expect(events.at(-1)).toMatchObject({ type: 'done', outcome: 'finished' });
  expect((await refused({ rank: 25, parameters })).parameter).toBe('rank');
});

test('the vocabulary of Qwen2 at the highest rank, over the smallest limit that adapters have', () => {
  const limit = { bindingLimit: 128 * 2 ** 20 };
  const head = { name: 'lm_head.weight', rows: 151_936, columns: 1536 };
  expect(() => checkFactors(limit, 256, head)).toThrow(
    /148\.4 MiB; .* at most 128\.0 MiB\. You can choose a rank of at most 220,/,
  );
  expect(() => checkFactors(limit, 220, head)).not.toThrow();
  expect(() => checkFactors(limit, 256, { name: 'wide', rows: 1536, columns: 151_936 })).toThrow('V of wide');
  // The rank is that of the smaller side.
  expect(() => checkFactors(limit, 256, { name: 'thin', rows: 151_936, columns: 64 })).not.toThrow();
});

test('a state that is too long is refused', async () => {
  for (const settings of [
    { rank: 8 },
    { scheme: 'prefix', virtualTokens: 80, optimizer: 'mezo' },
    { scheme: 'prefix', virtualTokens: 80, optimizer: 'subzero' },
  ] as const) {
    const error = await refused(settings);
    expect(error.code).toBe('unsupported');
    expect(error.message).toMatch(
      /what trains beside the weights .* takes \d+\.\d KiB for each probe; .* at most 16\.0 KiB/,
    );
  }
});
