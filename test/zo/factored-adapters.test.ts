/** Adapter tensors made from their factors, against float64; shapes below the rank and odd ones. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { paddedRank } from '../../src/ops/probes.ts';
import { mostSquare } from '../../src/tuning/adapter.ts';
import { prepareTuning } from '../../src/tuning/tuning.ts';
import { FactoredAdapters, type FactoredTensor } from '../../src/zo/factored-adapters.ts';
import { allocateSubspace } from '../../src/zo/subspace.ts';
import { type Random, withSeed } from '../support/random.ts';
import { relativeError } from '../support/zo/compare.ts';
import { withOptimizer } from '../support/zo/session.ts';
import { withChange } from '../support/zo/weights.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

test.each([
  [1, [1, 1]],
  [2, [1, 2]],
  [7, [1, 7]],
  [12, [3, 4]],
  [256, [16, 16]],
  // The examples of the paper's rule: LoRA, prefix and prompt tensors.
  [8 * 2048, [128, 128]],
  [5 * 5120, [160, 160]],
  [10 * 2048, [128, 160]],
])('%i elements as %j', (count, sides) => expect(mostSquare(count)).toEqual(sides));

/** Tensors with random factors, and their S for some probes in one state. */
function randomAdapters(random: Random, lengths: readonly number[], rank: number, probes: number) {
  const stride = lengths.reduce((sum, length) => sum + Math.min(rank, ...mostSquare(length)) ** 2 + 3, 5);
  const states = random.normals(stride * probes);
  let place = 2;
  const tensors = lengths.map((length, index) => {
    const [rows, columns] = mostSquare(length);
    const name = `tensor ${index}`;
    const entry = { name, tensor: index, offset: place };
    const subspace = allocateSubspace(gpu, { rank, normAlignment: true }, entry, { rows, columns });
    const { factors } = subspace;
    place += factors.rank ** 2 + 3;
    const u = random.normals(rows * factors.rank);
    const v = random.normals(columns * factors.rank);
    const width = paddedRank(factors.rank);
    const padded = new Float32Array(rows * width).fill(Number.NaN);
    const transposed = new Float32Array(columns * width).fill(Number.NaN);
    for (let b = 0; b < factors.rank; b++) {
      for (let i = 0; i < rows; i++) padded[i * width + b] = u[i * factors.rank + b]!;
      for (let j = 0; j < columns; j++) transposed[b * columns + j] = v[j * factors.rank + b]!;
    }
    factors.u.write(padded);
    factors.vTransposed.write(transposed);
    const values = random.normals(length);
    const expected = (state: ArrayLike<number>, base: ArrayLike<number>, scale: number) => {
      const s = Array.from({ length: factors.rank ** 2 }, (_, k) => state[factors.stateOffset + k]!);
      return withChange(base, { rank: factors.rank, scale: factors.scale, u, s, v }, [rows, columns], scale);
    };
    const tensor: FactoredTensor = { name, shape: [1, length], values, subspace };
    return { tensor, expected };
  });
  const state = gpu.allocate(states.byteLength, 'scratch', 'states');
  state.write(states);
  return { tensors, states, state, stride };
}

test('a rehearsal of the tensors as they stand is not taken for the tensors', () =>
  withOptimizer(
    gpu,
    { model: 'llama-tiny', scheme: 'prompt', rank: 3 },
    async ({ model, optimizer, configuration }) => {
      gpu.recorder.rehearse(() => {
        expect(optimizer.current.made).toBeDefined();
      });
      const { buffer, offsets } = optimizer.current.made!;
      const { adapter } = await prepareTuning(model, configuration);
      const { name, values } = adapter!.tensors[0]!;
      const [data] = await gpu.recorder.read([{ buffer, offset: offsets.get(name)! * 4, bytes: values.byteLength }]);
      expect(new Float32Array(data!)).toEqual(values);
    },
  ));

test.each(Array.from({ length: 6 }, (_, index) => index))('random tensors %i', (index) =>
  withSeed(`adapters ${index}`, async (random) => {
    const lengths = [1, 2, 13, random.integer(3, 500), 300, 4 * random.integer(60, 2000)];
    const count = random.integer(1, 128);
    const { tensors, states, state, stride } = randomAdapters(random, lengths, random.integer(1, 40), count);
    const adapters = new FactoredAdapters(
      gpu,
      tensors.map(({ tensor }) => tensor),
      count,
    );
    const stateOf = (probe: number) => states.subarray(probe * stride, (probe + 1) * stride);
    const scale = 0.9;
    const made = adapters.make({ state, count, stride }, scale);
    const current = await adapters.values(state, 1);
    const [data] = await gpu.recorder.read([{ buffer: made.buffer, bytes: made.stride * count * 4 }]);
    const all = new Float32Array(data!);
    for (const { tensor, expected } of tensors) {
      for (const probe of [0, count - 1]) {
        const start = probe * made.stride + made.offsets.get(tensor.name)!;
        const actual = all.subarray(start, start + tensor.values.length);
        expect(relativeError(actual, expected(stateOf(probe), tensor.values, scale))).toBeLessThan(1e-5);
      }
      expect(relativeError(current.get(tensor.name)!, expected(stateOf(0), tensor.values, 1))).toBeLessThan(1e-5);
    }
    // A fold, then the change once more on top of it.
    adapters.fold(state, scale);
    const twice = await adapters.values(state, 1);
    for (const { tensor, expected } of tensors) {
      const folded = expected(stateOf(0), tensor.values, scale);
      expect(relativeError(twice.get(tensor.name)!, expected(stateOf(0), folded, 1))).toBeLessThan(1e-5);
    }
    adapters.destroy();
    state.destroy();
    for (const { tensor } of tensors) {
      tensor.subspace.factors.u.destroy();
      tensor.subspace.factors.vTransposed.destroy();
    }
  }),
);
