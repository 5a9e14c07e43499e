/** Layers of experts by every variant of the matrix product, against float64. */

import { expect, test } from 'vitest';
import { Bed } from '../../src/bench/bed.ts';
import { combine, type ExpertScore, gatherPairs, groupRows } from '../../src/ops/experts.ts';
import { groupedLinear } from '../../src/ops/grouped.ts';
import { chooseGrouped, sharedLanes } from '../../src/ops/matmul-choice.ts';
import {
  type MatmulVariant,
  matmulDescriptions,
  matmulVariants,
  subgroupVariants,
} from '../../src/ops/matmul-variants.ts';
import type { StackedFactors } from '../../src/ops/probes.ts';
import { plainAxis, quadAxis } from '../../src/tensor/axis.ts';
import { allocateStack, destroyWeight } from '../../src/tensor/weight.ts';
import { codecs } from '../../src/weights/index.ts';
import { openTestGpu } from '../support/gpu.ts';
import { type Random, withSeed } from '../support/random.ts';
import { sparseMixer64 } from '../support/zo/float64-experts.ts';

const gpu = openTestGpu();
const narrow = openTestGpu({ maxStorageBufferBindingSize: 4096 });

interface Shape {
  rows: number;
  probes: number;
  experts: number;
  chosen: number;
  columns: number;
  inner: number;
  rank: number;
  storage: 'f32' | 'bf16';
  score: ExpertScore;
  tolerance?: number;
  sumLeast?: number;
  sumOffset?: number;
  corrected: boolean;
  /** Experts have factors of their own. */
  scaled?: boolean;
  normalised: boolean;
  /** Experts whose logits are so low that no row goes to them. */
  idle: number;
}

const plainShape: Shape = {
  ...{ rows: 9, probes: 1, experts: 5, chosen: 2, columns: 12, inner: 20, rank: 0, storage: 'f32' },
  ...{ score: 'softmax', corrected: false, normalised: false, idle: 0 },
};

/** Whole numbers are multiplied and added up without rounding. */
const whole = (random: Random, count: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, () => random.integer(-4, 4));

/** One layer of experts over random rows. @returns what it gives, and the largest distance from the reference */
async function run(
  random: Random,
  shape: Shape,
  variant?: MatmulVariant,
  device = gpu(),
): Promise<{ bits: Float32Array; off: number }> {
  const { rows, probes, experts, chosen, columns, inner, rank, storage, score, corrected, normalised, idle } = shape;
  const { tolerance = 0, sumLeast = 0, sumOffset = 0, scaled = false } = shape;
  const bed = new Bed(device, random);
  const all = rows * probes;
  bed.reserve(all);
  const layout = { rows: plainAxis(columns), columns: quadAxis(inner) };
  const names = Array.from({ length: experts }, (_, index) => `expert ${index}`);
  const weights = allocateStack(device, names, layout, storage);
  const width = Math.ceil(rank / 4) * 4;
  const correction = Array.from({ length: probes }, () => random.normals(experts, 0.3));
  const scales = Array.from({ length: probes }, () => whole(random, experts));
  // The last expert has no change of its own.
  const changed = rank > 0 ? experts - 1 : 0;
  const s = Array.from({ length: changed }, () => Array.from({ length: probes }, () => whole(random, rank * rank)));
  const context = bed.context({
    count: probes,
    vectors: { correction, scales, ...Object.fromEntries(s.map((each, index) => [`S ${index}`, each])) },
  });
  const stored = weights.map(() => whole(random, columns * inner));
  for (const [index, weight] of weights.entries()) weight.parts[0]!.buffer.write(codecs[storage].pack(stored[index]!));
  const stack = weights[0]!.stack!;
  const u = Array.from({ length: changed }, () => whole(random, columns * rank));
  const v = Array.from({ length: changed }, () => whole(random, rank * inner));
  if (rank > 0) {
    const uAll = new Float32Array(experts * stack.stride * width);
    const vAll = new Float32Array(experts * width * inner);
    for (let e = 0; e < changed; e++) {
      for (let c = 0; c < columns; c++)
        uAll.set(u[e]!.subarray(c * rank, (c + 1) * rank), (e * stack.stride + c) * width);
      vAll.set(v[e]!, e * width * inner);
    }
    const offsets = Uint32Array.from(names, (_, e) => context.probes.vectors.get(`S ${e}`) ?? 0xffff_ffff);
    const factors: StackedFactors = {
      ...{ rank, scale: 2, u: bed.upload(uAll), vTransposed: bed.upload(vAll), stateOffsets: bed.upload(offsets) },
    };
    context.probes.stacks = new Map([[names[0]!, factors]]);
  }
  const xData = whole(random, all * inner);
  const x = bed.activation(xData, all, inner);
  const logitData = random.normals(all * experts);
  for (let row = 0; row < all; row++) {
    for (let e = experts - idle; e < experts; e++) logitData[row * experts + e]! -= 100;
  }
  const logits = bed.activation(logitData, all, experts);
  const options = { experts, chosen, score, tolerance, ...(corrected ? { correction: 'correction' } : {}) };
  const plan = variant ? { variant, slices: 1 } : chooseGrouped(device, (all * chosen) / experts);
  const groups = groupRows(context, logits, options, plan);
  const y = groupedLinear(context, gatherPairs(context, x, groups), stack, groups);
  const sum = combine(context, y, groups, {
    normalised,
    sumLeast,
    sumOffset,
    scale: 0.5,
    ...(scaled ? { expertScales: 'scales' } : {}),
  });
  const [data] = await device.recorder.read([{ buffer: sum.buffer, bytes: all * columns * 4 }]);
  const bits = new Float32Array(data!);
  let off = 0;
  for (let row = 0; row < all; row++) {
    const probe = Math.floor(row / rows);
    const own = [...logitData.subarray(row * experts, (row + 1) * experts)];
    const total = own.reduce((all, logit) => all + Math.exp(logit), 0);
    const shares =
      score === 'sparse-mixer'
        ? [...sparseMixer64(Float64Array.from(own), tolerance)]
        : own.map((logit) => (score === 'sigmoid' ? 1 / (1 + Math.exp(-logit)) : Math.exp(logit) / total));
    const ranks = corrected ? shares.map((share, e) => share + correction[probe]![e]!) : own;
    const members = names
      .map((_, e) => e)
      .sort((a, b) => ranks[b]! - ranks[a]!)
      .slice(0, chosen);
    const sumOfShares = members.reduce((all, e) => all + shares[e]!, 0);
    const divisor = normalised ? Math.max(sumOfShares, sumLeast) + sumOffset : 1;
    for (let column = 0; column < columns; column++) {
      let [expected, size] = [0, 1];
      for (const e of members) {
        let value = 0;
        for (let k = 0; k < inner; k++) value += xData[row * inner + k]! * stored[e]![column * inner + k]!;
        for (let a = 0; a < (e < changed ? rank : 0); a++) {
          for (let b = 0; b < rank; b++) {
            let t = 0;
            for (let k = 0; k < inner; k++) t += xData[row * inner + k]! * v[e]![b * inner + k]!;
            value += 2 * u[e]![column * rank + a]! * s[e]![probe]![a * rank + b]! * t;
          }
        }
        const factor = scaled ? scales[probe]![e]! : 1;
        const part = (0.5 * factor * shares[e]! * value) / divisor;
        expected += part;
        size += Math.abs(part);
      }
      off = Math.max(off, Math.abs(bits[row * columns + column]! - expected) / size);
    }
  }
  for (const weight of weights) destroyWeight(weight);
  bed.destroy();
  return { bits, off: Number.isNaN(bits.reduce((all, value) => all + value, 0)) ? Number.NaN : off };
}

const shapes: Record<string, Shape> = {
  'one row': { ...plainShape, rows: 1 },
  'rows of one probe': plainShape,
  'all experts': { ...plainShape, chosen: 5, normalised: true },
  'one expert takes all': { ...plainShape, rows: 150, experts: 3, chosen: 1, idle: 2 },
  'several probes, a change of each': { ...plainShape, rows: 23, probes: 3, rank: 3, normalised: true },
  'chunks of several probes': { ...plainShape, rows: 130, probes: 2, experts: 6, rank: 5, columns: 40, idle: 1 },
  'bf16, a correction': { ...plainShape, rows: 70, storage: 'bf16', corrected: true, score: 'sigmoid' },
  'a sparse mixer': { ...plainShape, rows: 60, experts: 7, score: 'sparse-mixer', tolerance: 1.2 },
  'a sparse mixer of low logits, one expert': {
    ...plainShape,
    ...{ rows: 9, experts: 1, chosen: 1, score: 'sparse-mixer', tolerance: 0.02 },
  },
  'a sum that is at least 3': { ...plainShape, rows: 20, normalised: true, sumLeast: 3 },
  'a sum and a half': { ...plainShape, rows: 20, normalised: true, score: 'sigmoid', sumOffset: 0.5 },
  'factors of experts': { ...plainShape, rows: 30, probes: 3, experts: 6, chosen: 3, normalised: true, scaled: true },
  'softmax with a correction': { ...plainShape, rows: 17, experts: 40, chosen: 7, corrected: true },
};

test.each(Object.entries(shapes))('%s', async (name, shape) => {
  await withSeed(`experts ${name}`, async (random) => {
    expect((await run(random, shape)).off).toBeLessThan(2e-6);
  });
});

// Short blocks, whole ones, and groups without rows; a change of each probe.
/** Whether the adapter has the subgroups that a variant is written for. */
function runsHere(variant: MatmulVariant): boolean {
  const { lanes } = matmulDescriptions[variant];
  return lanes === undefined || lanes === sharedLanes(gpu());
}

test.each([...matmulVariants, ...subgroupVariants])('by %s', async (variant) => {
  if (!runsHere(variant)) return;
  const shape = { ...plainShape, rows: 50, probes: 2, experts: 4, rank: 3, idle: 1 };
  await withSeed(`experts by ${variant}`, async (random) => {
    // Operands of halves are whole numbers, which it holds.
    expect((await run(random, shape, variant)).off).toBeLessThan(2e-6);
  });
});

test('what a row gets has the same bits by every variant of software adapters', async () => {
  const shape = { ...plainShape, experts: 3, chosen: 2, rows: 30 };
  const variants = ['direct', ...subgroupVariants.filter(runsHere)] as MatmulVariant[];
  const bits: Float32Array[] = [];
  for (const variant of variants) {
    await withSeed('experts alike', async (random) => bits.push((await run(random, shape, variant)).bits));
  }
  for (const other of bits.slice(1)) expect(other).toEqual(bits[0]);
});

test('experts that no single binding can hold', async () => {
  const shape = { ...plainShape, rows: 8, probes: 2, rank: 3 };
  const names = Array.from({ length: 5 }, (_, index) => `expert ${index}`);
  const weights = allocateStack(narrow(), names, { rows: plainAxis(12), columns: plainAxis(20) }, 'f32');
  expect(weights[0]!.stack!.parts.map(({ first, count }) => [first, count])).toEqual([
    [0, 3],
    [3, 2],
  ]);
  for (const weight of weights) destroyWeight(weight);
  await withSeed('experts in parts', async (random) => {
    expect((await run(random, shape, undefined, narrow())).off).toBeLessThan(2e-6);
  });
});
