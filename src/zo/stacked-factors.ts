/**
 * U and V of weights that lie in stacks: one buffer each for all of a stack, so that a kernel finds those of any
 * expert.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { factorWidth, type LowRankFactors, type StackedFactors } from '../ops/probes.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { shapeOf, type Weight, type WeightStack } from '../tensor/weight.ts';
import { parameter, words } from '../words.ts';
import { type FactorPlace, rankOf } from './subspace.ts';

/** What stands for the offset of a weight without a change; kernels/experts/rotate.wgsl. */
const none = 0xffff_ffff;

/**
 * Reserves the factors of the stacks that weights lie in.
 * @param bank columns of each matrix's bank
 * @returns the places of each weight's factors by its name
 * @throws SubzeroError `unsupported` where the factors of a stack are larger than a binding, or where weight decay
 *   would shrink a part of it only
 */
export function placeStacks(
  gpu: Gpu,
  configuration: Pick<TrainConfiguration, 'rank' | 'weightDecay'>,
  weights: ReadonlyMap<string, Weight>,
  bank: number,
): Map<string, FactorPlace> {
  const places = new Map<string, FactorPlace>();
  for (const stack of stacksOf(weights.values())) {
    const [first] = stack.weights as [Weight];
    const trained = stack.weights.filter(({ name }) => weights.has(name));
    if (trained.length < stack.weights.length && configuration.weightDecay > 0) {
      const some = `${trained.length} of the ${stack.weights.length} experts that ${trained[0]!.name} is one of`;
      const problem = words`${parameter('weightDecay')} would shrink ${some}`;
      throw new SubzeroError('unsupported', words`${problem}; train all of a layer's, or none, or set it to 0`, {
        parameter: 'weightDecay',
      });
    }
    if (bank > 0 && configuration.weightDecay > 0) {
      const problem = words`${parameter('weightDecay')} is not supported with a bank beside experts (${first.name})`;
      throw new SubzeroError('unsupported', words`${problem}; set it to 0, or ${parameter('change')} to fold`, {
        parameter: 'weightDecay',
      });
    }
    const width = factorWidth({ rank: rankOf(configuration, ...shapeOf(first)), bank });
    const count = stack.weights.length;
    const [uBytes, vBytes] = [count * stack.stride * width * 4, count * stack.columns * width * 4];
    const most = Math.max(uBytes, vBytes);
    if (most > gpu.bindingLimit) {
      const size = `the factors of the ${count} experts that ${first.name} is one of ${formatBytes(most)}`;
      const limit = `one storage binding of this adapter holds at most ${formatBytes(gpu.bindingLimit)}`;
      const problem = words`${parameter('rank')}: ${configuration.rank} makes ${size}; ${limit}`;
      const advice = 'Choose a lower rank, or leave the experts out by a pattern of parameters';
      throw new SubzeroError('unsupported', words`${problem}. ${advice}`, { parameter: 'rank' });
    }
    const u = gpu.allocate(uBytes, 'factors', `U of ${first.name} and those behind it`);
    const v = gpu.allocate(vBytes, 'factors', `V of ${first.name} and those behind it`);
    for (const [index, weight] of stack.weights.entries()) {
      if (!weights.has(weight.name)) continue;
      const slice = u.slice(index * stack.stride * width * 4, weight.rows * width * 4, `U of ${weight.name}`);
      places.set(weight.name, { buffer: v, row: index * width, u: slice });
    }
  }
  return places;
}

/** The factors of all stacks, by the name of their first weight. @param factors of each weight that trains */
export function stackedFactors(
  gpu: Gpu,
  weights: ReadonlyMap<string, Weight>,
  factors: ReadonlyMap<string, LowRankFactors>,
): Map<string, StackedFactors> {
  const result = new Map<string, StackedFactors>();
  for (const stack of stacksOf(weights.values())) {
    const { name } = stack.weights.find((weight) => weights.has(weight.name))!;
    const { rank, bank, scale, u, vTransposed } = factors.get(name)!;
    const offsets = Uint32Array.from(stack.weights, (weight) => factors.get(weight.name)?.stateOffset ?? none);
    const stateOffsets: GpuBuffer = gpu.allocate(offsets.byteLength, 'factors', `places of S of ${name}`);
    stateOffsets.write(offsets);
    const shared = { rank, scale, vTransposed, stateOffsets, u: u.whole };
    result.set(stack.weights[0]!.name, { ...shared, ...(bank === undefined ? {} : { bank }) });
  }
  return result;
}

/** The stacks that weights lie in, each once. */
function stacksOf(weights: Iterable<Weight>): Set<WeightStack> {
  return new Set([...weights].flatMap(({ stack }) => stack ?? []));
}
