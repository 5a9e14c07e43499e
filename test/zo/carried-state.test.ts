/** A copy of a run that takes over what another one carried goes on to the same bits, whatever it did before. */

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { type CarriedBytes, carriedSize, fitsCarried, readCarried } from '../../src/zo/carried-state.ts';
import type { AppliedStep } from '../../src/zo/optimizer.ts';
import { measure } from '../../src/zo/probe-points.ts';
import { type Random, withSeed } from '../support/random.ts';
import { type Session, type SessionSettings, withOptimizer } from '../support/zo/session.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

const common = { seed: 2 ** 40 + 5, learningRate: 1e-3, epsilon: 1e-3, rank: 4, refresh: 3, weightDecay: 0.1 };
const steps = 8;

const variants: [string, SessionSettings][] = [
  ['SubZero', { optimizer: 'subzero', model: 'llama-tiny', storage: 'f32' }],
  ['SubZero+ on bf16 with odd widths', { optimizer: 'subzero-plus', model: 'qwen3-odd-tiny', storage: 'bf16' }],
  ['SubZero on LoRA', { optimizer: 'subzero', model: 'llama-tiny', storage: 'f32', scheme: 'lora' }],
  [
    'SubZero with a bank in f16 that overflows',
    { optimizer: 'subzero', model: 'llama-tiny', storage: 'f32', change: 'bank', bankRank: 6, bankStorage: 'f16' },
  ],
  [
    'SubZero with an adaptive step and a bank',
    { ...{ optimizer: 'subzero', model: 'llama-tiny', storage: 'f32' }, change: 'bank', adaptiveStep: true },
  ],
  ['MeZO with an adaptive step', { optimizer: 'mezo', adaptiveStep: true, model: 'llama-tiny', storage: 'f32' }],
  ['MeZO by Adam', { optimizer: 'mezo', mezoUpdate: 'adam', model: 'llama-tiny', storage: 'f32' }],
  ['HiZOO', { optimizer: 'hizoo', model: 'llama-tiny', storage: 'f32', hessianSmoothing: 1e-3 }],
];

/** Steps as they could have been measured. */
function randomSteps(random: Random, { configuration, optimizer }: Session): AppliedStep[] {
  return Array.from({ length: steps }, (_, step) => {
    const losses = Array.from({ length: optimizer.probeCount }, () => 2 + 0.01 * random.normal());
    return { step, learningRate: Math.fround(1e-3), ...measure(losses, configuration) };
  });
}

/** Brings a session to a step, with all that happens before its update. */
async function begin({ optimizer }: Session, journal: readonly AppliedStep[], step: number, from = 0): Promise<void> {
  await optimizer.replay(journal.slice(from, step));
  if (optimizer.waits(step)) await optimizer.renew(step);
  optimizer.beginStep(step);
}

const bytesOf = ({ optimizer }: Session) => readCarried(gpu, optimizer.carried());

/** Names of the contents, which compare faster. */
const named = ({ numbers, buffers }: CarriedBytes) => ({
  numbers,
  buffers: buffers.map(({ name, bytes }) => [name, createHash('sha256').update(bytes).digest('hex')]),
});

// At a fold, and in the middle of a period.
const taken = [3, 5];

test.each(variants)('%s: a copy goes on to the same bits', (name, variant) =>
  withSeed(`carried ${name}`, async (random) => {
    const run = { ...common, ...variant };
    const first = await withOptimizer(gpu, run, async (session) => {
      const journal = randomSteps(random, session);
      const carried = new Map<number, CarriedBytes>();
      for (const step of taken) {
        await begin(session, journal, step, Math.max(0, ...carried.keys()));
        const bytes = await bytesOf(session);
        expect(bytes.buffers.reduce((sum, each) => sum + each.bytes.length, 0)).toBe(
          carriedSize(session.optimizer.carried()),
        );
        for (const other of carried.values()) expect(named(bytes)).not.toEqual(named(other));
        carried.set(step, bytes);
      }
      await session.optimizer.replay(journal.slice(taken.at(-1)));
      return { journal, carried, last: await bytesOf(session), loss: session.optimizer.bankLoss };
    });
    await withOptimizer(gpu, run, async (session) => {
      const { optimizer } = session;
      await begin(session, randomSteps(random, session), 4);
      for (const [step, bytes] of first.carried) {
        expect(fitsCarried(optimizer.carried(), bytes)).toBe(true);
        optimizer.carryOn(step, bytes);
        expect(named(await bytesOf(session))).toEqual(named(bytes));
        await optimizer.replay(first.journal.slice(step));
        expect(named(await bytesOf(session))).toEqual(named(first.last));
        expect(optimizer.bankLoss).toEqual(first.loss);
      }
    });
  }),
);

test('what another run carried does not fit', async () => {
  const run = { ...common, ...variants[0]![1] };
  const carried = await withOptimizer(gpu, run, bytesOf);
  await withOptimizer(gpu, { ...run, storage: 'f16' }, async ({ optimizer }) => {
    expect(fitsCarried(optimizer.carried(), carried)).toBe(false);
    expect(() => optimizer.carryOn(1, carried)).toThrow('the bytes of another run');
  });
});
