import { describe, expect, test } from 'vitest';
import { Bed } from '../../src/bench/bed.ts';
import {
  foldCase,
  foldInputs,
  foldShapes,
  foldWeight,
  gaussianMatrixCase,
  gaussianMatrixShapes,
  layOut,
  orthonormaliseCase,
  orthonormaliseShapes,
  perturbCase,
  stateShapes,
  updateCase,
} from '../../src/bench/cases/zo.ts';
import { fromBrain, fromHalf, neighbours, widenAll } from '../../src/bench/storage.ts';
import { spread } from '../../src/gpu/workgroups.ts';
import { stateKernel } from '../../src/ops/state.ts';
import { keyOfSeed } from '../../src/random/philox.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';
import { withSeed } from '../support/random.ts';

const gpu = openTestGpu();

describe('perturb', () => {
  testCases(gpu, stateShapes.map(perturbCase));
});

describe('update', () => {
  testCases(gpu, stateShapes.map(updateCase));

  test('by minus the scale of a probe gives that probe’s state, bit for bit', () =>
    withSeed('update equals perturb', async (random) => {
      const bed = new Bed(gpu(), random);
      const { seed, step, blocks, blockCount, state } = layOut(random, {
        tensors: [{ elements: 1000, trains: true, matrix: true }],
        count: 1,
        deviation: 1,
      });
      const scale = Math.fround(1e-3 * random.normal());
      const [seedLow, seedHigh] = keyOfSeed(seed);
      const [stateBuffer, blockBuffer] = [bed.upload(state), bed.upload(blocks)];
      const perturbed = bed.allocate(state.byteLength, 'perturbed');
      const { recorder } = gpu();
      const common = { seed_low: seedLow, seed_high: seedHigh, step, block_count: blockCount };
      recorder.dispatch(
        gpu().kernel(stateKernel('perturb', 'plain')),
        [stateBuffer, blockBuffer, bed.upload(new Float32Array([scale, 0])), gpu().unused, perturbed],
        { ...common, first_probe: 0 },
        spread(blockCount),
      );
      recorder.dispatch(
        gpu().kernel(stateKernel('update', 'plain')),
        [stateBuffer, blockBuffer, bed.upload(new Float32Array([-scale])), gpu().unused],
        { ...common, queries: 1, coefficient_offset: 0, decay: 1 },
        spread(blockCount),
      );
      const bytes = 4000;
      const [first, second] = await recorder.read([
        { buffer: perturbed, bytes },
        { buffer: stateBuffer, bytes },
      ]);
      expect(new Uint32Array(second!)).toEqual(new Uint32Array(first!));
      expect(new Float32Array(first!)).not.toEqual(state.subarray(0, 1000));
      bed.destroy();
    }));
});

describe('gaussian matrix', () => {
  testCases(gpu, gaussianMatrixShapes.map(gaussianMatrixCase));
});

describe('orthonormalise', () => {
  testCases(gpu, orthonormaliseShapes.map(orthonormaliseCase));
});

describe('fold', () => {
  testCases(gpu, foldShapes.map(foldCase));

  // 0.02 is the size of a weight; the smaller ones lie below the normal range of f16.
  test.each([
    ['f16', 1],
    ['f16', 1e-3],
    ['f16', 1e-5],
    ['bf16', 1],
    ['bf16', 1e-5],
  ] as const)('%s, magnitude %d: every element becomes one of its two neighbours', (storage, magnitude) =>
    withSeed(`neighbours ${storage} ${magnitude}`, async (random) => {
      const bed = new Bed(gpu(), random);
      const shape = { rows: 20, columns: 64, rank: 3, storage };
      const inputs = foldInputs(bed, shape, magnitude);
      const context = bed.context({ count: 1, factors: { weight: inputs.factors } });
      const weight = bed.weight('weight', inputs.matrix);
      foldWeight(bed, weight, context, { seed: 1, tensor: random.word(), period: 0 });
      const [data] = await gpu().recorder.read([{ buffer: weight.parts[0]!.buffer, bytes: 20 * 64 * 2 }]);
      const result = widenAll(new Uint16Array(data!), storage);
      for (let row = 0; row < shape.rows; row++) {
        const expected = inputs.row(row);
        for (let column = 0; column < shape.columns; column++) {
          const value = expected[column]!;
          // The sum is f32: a value within its rounding of a grid point may go to the next cell.
          const slack = 1e-6 * Math.abs(value) + 1e-9 * magnitude;
          const sign = Math.sign(value);
          const low = neighbours(storage, sign * Math.max(0, Math.abs(value) - slack))[0];
          const high = neighbours(storage, value + sign * slack)[1];
          const actual = result[row * shape.columns + column]!;
          expect(Math.abs(actual)).toBeGreaterThanOrEqual(Math.abs(low));
          expect(Math.abs(actual)).toBeLessThanOrEqual(Math.abs(high));
          if (actual !== 0 && Math.abs(value) > slack) expect(Math.sign(actual)).toBe(sign);
        }
      }
      bed.destroy();
    }),
  );

  test.each([
    ['f16', 0.0123],
    ['f16', -3e-6],
    ['f16', 2.05e-5],
    ['bf16', 0.0123],
    ['bf16', -1.7e-5],
    ['bf16', 300.7],
  ] as const)('%s: rounding %d is unbiased', (storage, value) =>
    withSeed(`unbiased ${storage} ${value}`, async (random) => {
      const bed = new Bed(gpu(), random);
      const [rows, columns] = [64, 1024];
      const factors = bed.referenceFactors(rows, columns, 1, 1);
      factors.scale = value;
      for (const ones of [factors.u, factors.vTransposed, factors.s[0]!]) ones.fill(1);
      const matrix = {
        rows,
        columns,
        storage,
        bits: new Uint16Array(rows * columns),
        values: new Float32Array(rows * columns),
      };
      const context = bed.context({ count: 1, factors: { weight: factors } });
      const weight = bed.weight('weight', matrix);
      foldWeight(bed, weight, context, {
        seed: random.word(),
        tensor: random.word(),
        period: 3,
      });
      const [data] = await gpu().recorder.read([{ buffer: weight.parts[0]!.buffer, bytes: rows * columns * 2 }]);
      const bits = new Uint16Array(data!);
      const exact = Math.fround(value);
      const [low, high] = neighbours(storage, exact);
      expect(low).not.toBe(high);
      const widen = storage === 'f16' ? fromHalf : fromBrain;
      let up = 0;
      for (const word of bits) {
        const stored = widen(word);
        if (stored === high) up++;
        else expect(stored).toBe(low);
      }
      const share = (exact - low) / (high - low);
      const count = rows * columns;
      // Six standard errors of a share.
      expect(Math.abs(up / count - share)).toBeLessThan(6 * Math.sqrt((share * (1 - share)) / count));
      bed.destroy();
    }),
  );

  test.each(['f32', 'f16', 'bf16'] as const)('%s: no change leaves every bit as it is', (storage) =>
    withSeed(`no change ${storage}`, async (random) => {
      const bed = new Bed(gpu(), random);
      const inputs = foldInputs(bed, { rows: 9, columns: 40, rank: 2, storage });
      inputs.factors.s[0]!.fill(0);
      const context = bed.context({ count: 1, factors: { weight: inputs.factors } });
      const weight = bed.weight('weight', inputs.matrix);
      foldWeight(bed, weight, context, { seed: 5, tensor: 6, period: 7 });
      const bytes = inputs.matrix.bits.byteLength;
      const [data] = await gpu().recorder.read([{ buffer: weight.parts[0]!.buffer, bytes }]);
      expect(new Uint8Array(data!)).toEqual(new Uint8Array(inputs.matrix.bits.buffer, 0, bytes));
      bed.destroy();
    }),
  );

  test('f16: what is not a number stays so, what is too large stays the largest', () =>
    withSeed('not a number', async (random) => {
      const bed = new Bed(gpu(), random);
      for (const storage of ['f16', 'bf16'] as const) {
        const inputs = foldInputs(bed, { rows: 1, columns: 4, rank: 1, storage });
        inputs.factors.scale = Number.NaN;
        const context = bed.context({ count: 1, factors: { weight: inputs.factors } });
        const weight = bed.weight('weight', inputs.matrix);
        foldWeight(bed, weight, context, { seed: 5, tensor: random.word(), period: 7 });
        const [data] = await gpu().recorder.read([{ buffer: weight.parts[0]!.buffer, bytes: 8 }]);
        expect([...widenAll(new Uint16Array(data!), storage)]).toEqual([
          Number.NaN,
          Number.NaN,
          Number.NaN,
          Number.NaN,
        ]);
      }
      const inputs = foldInputs(bed, { rows: 1, columns: 4, rank: 1, storage: 'f16' });
      inputs.factors.scale = 1e6;
      for (const ones of [inputs.factors.u, inputs.factors.vTransposed, inputs.factors.s[0]!]) ones.fill(1);
      const context = bed.context({ count: 1, factors: { weight: inputs.factors } });
      const weight = bed.weight('weight', inputs.matrix);
      foldWeight(bed, weight, context, { seed: 5, tensor: 6, period: 7 });
      const [data] = await gpu().recorder.read([{ buffer: weight.parts[0]!.buffer, bytes: 8 }]);
      expect([...widenAll(new Uint16Array(data!), 'f16')]).toEqual([65504, 65504, 65504, 65504]);
      bed.destroy();
    }));
});
