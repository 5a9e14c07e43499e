/** Every optimiser through the training loop: journal, interruption, export. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import type { OptimizerName } from '../../src/settings/methods.ts';
import { openJournal } from '../../src/zo/journal.ts';
import {
  collect,
  journalOf,
  ofType,
  optionRows,
  quick,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  trainUpTo,
  writeRows,
} from './tiny.ts';

let engine: LocalEngine;
let model: string;
let file: string;
beforeAll(async () => {
  engine = await LocalEngine.open();
  model = tinyModel();
  file = writeRows(optionRows());
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

/** Trains in a new folder, at most up to a step. */
async function train(configuration: Partial<TrainConfiguration>, stopAfter = Number.POSITIVE_INFINITY) {
  return (await trainUpTo(engine, { model, file }, configuration, stopAfter)).run;
}

async function weightsOf(run: string, step?: number): Promise<Buffer> {
  const out = join(temporaryFolder(), 'out');
  await engine.exportRun({ run, format: 'safetensors', out, ...(step === undefined ? {} : { step }) });
  return readFileSync(join(out, 'model.safetensors'));
}

describe.each([
  { optimizer: 'mezo', recordBytes: 20 },
  { optimizer: 'mezo', recordBytes: 28, storage: 'bf16', queries: 3, sides: 1 },
  { optimizer: 'sparse-mezo', recordBytes: 20, sparsity: 0.5 },
  // ρ and the curvature of each of two queries.
  { optimizer: 'hizoo', recordBytes: 32, queries: 2, storage: 'f16' },
  // More probes than one pass takes.
  { optimizer: 'subzero-plus', recordBytes: 36, queries: 5, sides: 1, maxRows: 500 },
] as const)('$optimizer, $recordBytes bytes a step', ({ recordBytes, ...settings }) => {
  let whole: string;
  beforeAll(async () => {
    whole = await train(settings);
  });
  const title = settings.optimizer satisfies OptimizerName;

  test('its journal keeps everything that decides the run', async () => {
    const journal = await journalOf(whole);
    expect(journal.header.configuration).toMatchObject(settings);
    expect(journal.recordBytes).toBe(recordBytes);
    expect(journal.records).toHaveLength(quick.steps);
    for (const { projectedGradients, curvatures } of journal.records) {
      expect(projectedGradients).toHaveLength(journal.header.configuration.queries);
      expect(curvatures?.length).toBe(title === 'hizoo' ? projectedGradients.length : undefined);
      expect(curvatures?.every((value) => value >= 0) ?? true).toBe(true);
    }
    const other = await openJournal(join(await train(settings), 'journal.subzero'));
    expect(other.records).toEqual(journal.records);
  });

  test('goes on after an interruption as if there had been none', async () => {
    const run = await train(settings, 7);
    const events = await collect(engine.train({ resume: run }));
    expect(ofType(events, 'step').map(({ step }) => step)).toEqual([8, 9, 10, 11, 12]);
    const [interrupted, expected] = [await journalOf(run), await journalOf(whole)];
    expect(interrupted.records).toEqual(expected.records);
    expect(Buffer.compare(await weightsOf(run), await weightsOf(whole))).toBe(0);
  });

  test('its exports are the weights of their step', async () => {
    const early = await weightsOf(whole, 6);
    expect(Buffer.compare(early, await weightsOf(await train({ ...settings, steps: 6 })))).toBe(0);
    expect(Buffer.compare(early, await weightsOf(whole))).not.toBe(0);
  });

  test('an adapter holds a low-rank change only', async () => {
    const out = join(temporaryFolder(), 'adapter');
    const exported = engine.exportRun({ run: whole, format: 'peft', out, step: 4 });
    if (title === 'subzero-plus') expect((await exported).length).toBeGreaterThan(1);
    else await expect(exported).rejects.toMatchObject({ code: 'unsupported', parameter: 'format' });
  });
});
