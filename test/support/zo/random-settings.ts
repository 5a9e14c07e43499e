/**
 * Settings of a method that decide what a run computes, drawn at random.
 *
 * @module
 */

import type { Random } from '../../../src/bench/random.ts';
import type { TrainConfiguration } from '../../../src/settings/configuration.ts';
import type { SessionSettings } from './session.ts';

/** @param most the largest rank and number of queries */
export function randomSettings(
  random: Random,
  method: Partial<TrainConfiguration>,
  most: { rank: number; queries: number },
): Omit<SessionSettings, 'model'> & { storage: 'f32' | 'f16' | 'bf16' } {
  return {
    ...method,
    storage: random.pick(['f32', 'f16', 'bf16'] as const),
    rank: random.integer(1, most.rank),
    refresh: random.integer(1, 4),
    queries: random.integer(1, most.queries),
    sides: method.optimizer === 'hizoo' ? 2 : random.pick([1, 2] as const),
    normAlignment: random.uniform() < 0.5,
    reshape: random.uniform() < 0.5,
    weightDecay: random.pick([0, 0.5]),
    sparsity: random.pick([0, 0.5, 0.9]),
    hessianSmoothing: 0.1,
    learningRate: 1e-2,
    epsilon: 1e-2,
    seed: random.integer(0, 2 ** 31),
  };
}

/** A random choice of parameters: one at least, and at most as many as a run takes by name. */
export function randomSubset(random: Random, names: Iterable<string>): string[] {
  const all = [...names];
  const some = all.filter(() => random.uniform() < 0.5).slice(0, 64);
  return some.length > 0 ? some : [random.pick(all)];
}
