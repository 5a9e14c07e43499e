/**
 * Tiny checkpoints of the parity suite as models to train: what the tests of a family's training have in common.
 *
 * @module
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { type Parity, promptOf, writeCheckpoint } from '../parity/checkpoint.ts';
import { difference, logitsOfModel, logitsOfRun } from './logits.ts';
import { collect, ofType, quick, recordsOf, removeTemporary, temporaryFolder, trainUpTo, writeRows } from './tiny.ts';

/** A prompt that the tests compare logits of. */
export const tokens = promptOf(12, { vocab_size: 48 });

/** A text of random tokens, one character each. */
function textOf(count: number, seed: number): string {
  return promptOf(count + seed, { vocab_size: 48 })
    .slice(seed)
    .map((id) => String.fromCodePoint(0x4e00 + id))
    .join('');
}

/** Options of several lengths, one of them a single token, behind prompts of several lengths. */
function optionRows(): string {
  return Array.from({ length: 12 }, (_, i) => {
    const options = [textOf(1, i), textOf(4, i + 1), textOf(2 + (i % 3), i + 5)];
    return `${JSON.stringify({ prompt: textOf(2 + ((5 * i) % 17), 3 * i), options, label: i % 3 })}\n`;
  }).join('');
}

/**
 * Writes checkpoints before the tests of a file, opens an engine for them, and removes all that afterwards.
 * @param models names of one's own, and the names of the cases of parity.json that they stand for
 */
export function trainableCheckpoints<Name extends string>(models: Readonly<Record<Name, string>>) {
  const names = Object.keys(models) as Name[];
  const folders = {} as Record<Name, string>;
  let gpu: Gpu;
  let engine: LocalEngine;
  let file: string;
  beforeAll(async () => {
    const { cases } = JSON.parse(readFileSync(new URL('../parity/parity.json', import.meta.url), 'utf8')) as Parity;
    gpu = await Gpu.open();
    engine = new LocalEngine(gpu);
    file = writeRows(optionRows());
    for (const name of names) {
      folders[name] = join(temporaryFolder(), 'model');
      await writeCheckpoint(folders[name], cases.find((each) => each.name === models[name])!);
    }
  });
  afterAll(async () => {
    await engine.close();
    removeTemporary();
  });

  /** Trains in a new folder, at most up to a step. @returns the run's folder */
  const train = async (name: Name, configuration: Partial<TrainConfiguration>, stopAfter?: number): Promise<string> =>
    (await trainUpTo(engine, { model: folders[name], file }, configuration, stopAfter)).run;

  return {
    ...{ names, folders, train },
    gpu: () => gpu,
    engine: () => engine,

    /** Expects training to take the memory that was planned, and little less. */
    async expectPlanHolds(name: Name, configuration: Partial<TrainConfiguration>): Promise<void> {
      const before = gpu.memory.report();
      gpu.memory.resetPeak();
      const request = { model: folders[name], data: { file }, validation: { file } };
      const settings = { ...quick, steps: 4, ...configuration };
      const out = join(temporaryFolder(), 'run');
      const events = await collect(engine.train({ ...request, configuration: settings, out }));
      const { totalBytes } = ofType(events, 'start')[0]!.plan;
      const peak = gpu.memory.report().peakBytes - (before.liveBytes - (before.byCategory.staging ?? 0));
      expect(peak).toBeLessThanOrEqual(totalBytes);
      expect(peak).toBeGreaterThan(0.8 * totalBytes);
    },

    /** Expects a run that was interrupted to go on to the records and the weights of one that was not. */
    async expectSameBitsAfterResume(name: Name, steps: number, stopAfter: number): Promise<void> {
      const whole = await train(name, { steps });
      const interrupted = await train(name, { steps }, stopAfter);
      await collect(engine.train({ resume: interrupted }));
      expect(await recordsOf(interrupted)).toEqual(await recordsOf(whole));
      expect(await logitsOfRun(gpu, interrupted, tokens)).toEqual(await logitsOfRun(gpu, whole, tokens));
    },

    /** Exports a run as safetensors, and expects a model of the same logits. @returns its folder */
    async exportedAsIs(run: string): Promise<string> {
      const out = join(temporaryFolder(), 'out');
      await engine.exportRun({ run, format: 'safetensors', out });
      const [own, exported] = [await logitsOfRun(gpu, run, tokens), await logitsOfModel(gpu, out, tokens)];
      expect(difference(own, exported)).toBeLessThan(1e-5);
      return out;
    },

    /** Exports a run as an adapter of PEFT. @returns the layers that it stands beside */
    async peftTargets(run: string): Promise<string[]> {
      const out = join(temporaryFolder(), 'peft');
      await engine.exportRun({ run, format: 'peft', out });
      const config = JSON.parse(readFileSync(join(out, 'adapter_config.json'), 'utf8')) as { target_modules: string[] };
      return config.target_modules;
    },

    /** How far a run is from the model that it began with. */
    async changeOf(name: Name, run: string): Promise<number> {
      return difference(await logitsOfRun(gpu, run, tokens), await logitsOfModel(gpu, folders[name], tokens));
    },
  };
}
