/**
 * What every optimiser promises, on models of random shapes, with random settings and a random choice of parameters
 * that train: a replay in any pieces makes the bits of the live run, what is frozen keeps its bits, and freezing some
 * changes nothing for the others.
 */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import type { AppliedStep } from '../../src/zo/optimizer.ts';
import { withSeed } from '../support/random.ts';
import { optionsExample } from '../support/zo/golden.ts';
import { liveStep } from '../support/zo/live.ts';
import { writeRandomModel } from '../support/zo/random-model.ts';
import { randomSettings, randomSubset } from '../support/zo/random-settings.ts';
import { type Session, withOptimizer } from '../support/zo/session.ts';
import { modelBytes, snapshot } from '../support/zo/weights.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

const methods: Partial<TrainConfiguration>[] = [
  { optimizer: 'subzero' },
  { optimizer: 'subzero-plus' },
  { optimizer: 'mezo' },
  { optimizer: 'mezo', mezoUpdate: 'momentum' },
  { optimizer: 'mezo', mezoUpdate: 'adam' },
  { optimizer: 'sparse-mezo' },
  { optimizer: 'hizoo' },
];
const steps = 5;

const stateOf = ({ model, optimizer }: Session) => snapshot(model, optimizer);

test.each(
  [0, 1].flatMap((round) => methods.map((method) => ({ round, method, name: Object.values(method).join(' ') }))),
)('$name on a random model, $round', async ({ round, method, name }) => {
  await withSeed(`random runs ${name} ${round}`, async (random) => {
    const written = await writeRandomModel(random);
    const names = [...written.parameters.keys()];
    const parameters = randomSubset(random, names);
    const all = { ...randomSettings(random, method, { rank: 20, queries: 3 }), model: written.directory };
    const some = { ...all, parameters };
    const vocabulary = written.config.vocab_size as number;
    const draw = (low: number, high: number) =>
      Array.from({ length: random.integer(low, high) }, () => random.integer(0, vocabulary - 1));
    const examples = Array.from({ length: 2 }, () => optionsExample(draw(1, 9), [draw(1, 3), draw(1, 3)], 0));
    const cut = random.integer(1, steps - 1);
    try {
      const [base, own] = await withOptimizer(gpu, some, async (session) => {
        return [await stateOf(session), await modelBytes(session.model)] as const;
      });
      const journal: AppliedStep[] = [];
      const live = await withOptimizer(gpu, some, async (session) => {
        for (let step = 0; step < steps; step++) journal.push((await liveStep(session, examples, step)).applied);
        const state = await stateOf(session);
        session.optimizer.foldAll();
        return { state, folded: await stateOf(session), own: await modelBytes(session.model) };
      });
      await withOptimizer(gpu, some, async (session) => {
        await session.optimizer.replay(journal.slice(0, cut));
        await session.optimizer.replay(journal.slice(cut));
        expect(await stateOf(session)).toEqual(live.state);
        session.optimizer.foldAll();
        expect(await stateOf(session)).toEqual(live.folded);
      });
      const whole = await withOptimizer(gpu, all, async ({ model, optimizer }) => {
        await optimizer.replay(journal);
        optimizer.foldAll();
        return snapshot(model, optimizer);
      });
      for (const parameter of names) {
        if (parameters.includes(parameter)) {
          // A matrix is told from a vector by what is stored of it.
          const key = `${parameter} stored` in base ? `${parameter} stored` : parameter;
          expect(live.folded[key], `${parameter} trains`).not.toBe(base[key]);
          expect(live.folded[key], `${parameter}, whether others train or not`).toBe(whole[key]);
        } else {
          expect(live.folded).not.toHaveProperty([parameter]);
          expect(live.own.get(parameter), `${parameter} is frozen`).toEqual(own.get(parameter));
        }
      }
    } catch (error) {
      if (error instanceof Error) error.message += `\n${JSON.stringify({ ...some, config: written.config })}`;
      throw error;
    } finally {
      await written.remove();
    }
  });
});
