import { beforeEach, describe, expect, test } from 'vitest';
import { Bed } from '../../src/bench/bed.ts';
import {
  deepShapes,
  isLong,
  linearCase,
  linearShapes,
  linearsCase,
  matmulCase,
  quantisedShapes,
  randomLinearShape,
} from '../../src/bench/cases/linear.ts';
import { store } from '../../src/bench/storage.ts';
import { linear, linears } from '../../src/ops/linear.ts';
import { sharedLanes } from '../../src/ops/matmul-choice.ts';
import {
  type MatmulVariant,
  matmulDescriptions,
  matmulVariants,
  subgroupVariants,
} from '../../src/ops/matmul-variants.ts';
import type { Activation } from '../../src/tensor/workspace.ts';
import { expectSameBits, openTestGpu, testCases } from '../support/gpu.ts';
import { Random, testSeed } from '../support/random.ts';

const gpu = openTestGpu();
const random = new Random(testSeed, 'shapes');
const randomShapes = Array.from({ length: 12 }, () => randomLinearShape(random));

describe('linear', () => {
  testCases(
    gpu,
    linearShapes.map((shape) => linearCase(shape)),
  );
});

describe('linear, random shapes', () => {
  testCases(
    gpu,
    randomShapes.map((shape, index) => linearCase(shape, `shape ${index}`)),
  );
});

// As queries, keys and values: of different sizes and ranks, with some that do not train, and more of them than share a
// launch.
describe('linears', () => {
  testCases(gpu, [
    linearsCase({ rows: 9, inner: 36, probes: 2 }, [
      { columns: 33, rank: 24, bias: true },
      { columns: 7, rank: 7 },
      { columns: 17, rank: 8, bias: true },
    ]),
    linearsCase({ rows: 5, inner: 64, probes: 3 }, [
      { columns: 20, rank: 3, weightScale: 0.9 },
      { columns: 12 },
      { columns: 40, rank: 16, parts: 2 },
    ]),
    linearsCase({ rows: 1, inner: 20 }, [{ columns: 5, bias: true }, { columns: 9 }]),
    linearsCase(
      { rows: 6, inner: 16, probes: 2 },
      [1, 5, 2, 4, 3].map((rank) => ({ columns: 10, rank, accumulate: rank === 4 })),
    ),
  ]);
});

// Over a long inner dimension these cut xV into slices, whose sums are added up on the way to the coordinates of U.
describe('linears, the kernels of GPUs', () => {
  const hardware = openTestGpu({ kernelStyle: 'hardware' });
  testCases(hardware, [
    linearCase({ rows: 9, columns: 40, inner: 1024, rank: 24, probes: 2 }),
    linearCase({ rows: 9, columns: 40, inner: 1024, rank: 6, bank: 12, probes: 2 }),
    linearCase({ rows: 5, columns: 20, inner: 1024, rank: 255, bank: 256 }),
    linearCase({ rows: 9, columns: 40, inner: 1024, rank: 6, bank: 12, probes: 2, factors: 'f16' }),
    linearCase({ rows: 1, columns: 33, inner: 2048, rank: 3, probes: 3, bias: true }),
    linearCase({ rows: 3, columns: 8, inner: 512, rank: 8 }),
    linearsCase({ rows: 10, inner: 1028, probes: 2 }, [
      { columns: 16, rank: 256 },
      { columns: 8, rank: 253, accumulate: true },
      { columns: 12, rank: 9 },
    ]),
  ]);

  test('a projection in slices takes two launches', async () => {
    const bed = new Bed(hardware(), random);
    const prepared = linearCase({ rows: 16, columns: 16_384, inner: 1024, rank: 8 }).prepare(bed);
    const before = hardware().recorder.dispatches;
    prepared.record();
    // And one for the product itself, which has columns enough to do without slices.
    expect(hardware().recorder.dispatches - before).toBe(3);
    hardware().recorder.submit();
    bed.destroy();
  });
});

// Journals hold what this decides.
test('layers together have the bits of each alone, in fewer launches', async () => {
  const bed = new Bed(gpu(), random);
  const [rows, inner, ranks, sizes] = [10, 48, [24, 9, 16], [40, 12, 20]];
  bed.reserve(rows);
  const names = ['query', 'key', 'value'];
  const context = bed.context({
    count: 2,
    factors: Object.fromEntries(
      names.map((name, index) => [name, bed.referenceFactors(sizes[index]!, inner, ranks[index]!, 2)]),
    ),
  });
  const x = bed.activation(random.normals(rows * inner), rows, inner);
  const layers = names.map((name, index) => {
    const size = sizes[index]!;
    return { weight: bed.weight(name, store(random.normals(size * inner), size, inner, 'f32')) };
  });
  const { recorder } = gpu();
  const read = (results: Activation[]) =>
    recorder.read(results.map(({ buffer, columns }) => ({ buffer, bytes: rows * columns * 4 })));
  const start = recorder.dispatches;
  const together = await read(linears(context, x, layers));
  const middle = recorder.dispatches;
  const alone = await read(layers.map(({ weight }) => linear(context, x, weight)));
  expect([middle - start, recorder.dispatches - middle]).toEqual([5, 9]);
  for (const [index, bits] of together.entries())
    expect(Buffer.from(bits).equals(Buffer.from(alone[index]!))).toBe(true);
  bed.destroy();
});

// Storage, bias and activation are the same code in every variant and compile slowly on a software adapter: the tiled
// variants run all shapes with one combination that has everything.
const everything = { storage: 'bf16', bias: true, activation: 'silu', accumulate: true } as const;

describe.each([...matmulVariants, ...subgroupVariants])('matmul %s', (variant) => {
  if (subgroupVariants.includes(variant)) {
    const { lanes } = matmulDescriptions[variant];
    beforeEach((context) => context.skip(sharedLanes(gpu()) !== lanes, `this adapter has no subgroups of ${lanes}`));
  }
  const flags = variant === 'naive' || variant === 'direct' ? {} : everything;
  const shapes = linearShapes.filter(({ columns }) => columns < 1000).map((shape) => ({ ...shape, ...flags }));
  testCases(
    gpu,
    shapes.map((shape) => matmulCase({ variant, slices: 1 }, shape)),
  );

  testCases(
    gpu,
    quantisedShapes
      .filter(({ storage }) => !isLong(variant, storage!))
      .map((shape) => matmulCase({ variant, slices: 1 }, shape)),
  );

  // Some of the rows, as a pass with weights of its own for each probe needs them: before, within and after odd blocks.
  const ranges = [
    [0, 7],
    [7, 7],
    [10, 9],
    [3, 1],
    [20, 1],
    [1, 19],
  ] as const;
  const ranged = { rows: 7, probes: 3, columns: 19, inner: 24, rank: 3, ...everything };
  testCases(
    gpu,
    ranges.map((range) => matmulCase({ variant, slices: 1 }, { ...ranged, range })),
  );
});

// GPUs use these, and compile them fast.
describe('matmul, the other types of blocks', () => {
  beforeEach((context) =>
    context.skip(gpu().adapter.software, 'on a software adapter test/long/matmul-blocks.test.ts has these'),
  );
  testCases(
    gpu,
    matmulVariants.flatMap((variant) =>
      quantisedShapes
        .filter(({ storage }) => isLong(variant, storage!))
        .map((shape) => matmulCase({ variant, slices: 1 }, shape)),
    ),
  );
});

// Journals of software adapters name no plans, so that a run must go on with the same bits whichever of these makes its
// products.
describe('variants of software adapters have the same bits', () => {
  beforeEach((context) => context.skip(!sharedLanes(gpu()), 'this adapter has no subgroups of 4 or 8'));

  const shapes = [
    { rows: 1, inner: 100, columns: 37, rank: 3, ...everything },
    { rows: 37, inner: 36, columns: 69, rank: 9, probes: 2, weightScale: 0.9, bias: true },
    { rows: 29, inner: 64, columns: 33, accumulate: true },
    ...quantisedShapes,
  ];
  // Each compiles a kernel of every variant, which takes longest.
  test.each(shapes.map((shape) => ({ name: JSON.stringify(shape), shape })))('$name', ({ name, shape }) => {
    const sharing = subgroupVariants.filter((variant) => matmulDescriptions[variant].lanes === sharedLanes(gpu()));
    const caseOf = (variant: MatmulVariant) => matmulCase({ variant, slices: 1 }, shape);
    return expectSameBits<MatmulVariant>(gpu(), name, ['direct', ...sharing], caseOf);
  });
});

// The emulation of matrix units compiles slowly; its slices are in test/long.
const sliceable = matmulVariants.filter(
  (variant) => matmulDescriptions[variant].sliceable && !variant.startsWith('emulated'),
);

describe.each(sliceable)('matmul %s in slices', (variant) => {
  testCases(
    gpu,
    [2, 5, 16].flatMap((slices) =>
      deepShapes.map((shape) => matmulCase({ variant, slices }, { ...shape, ...everything })),
    ),
  );
  testCases(gpu, [
    matmulCase(
      { variant, slices: 4 },
      { rows: 7, probes: 3, columns: 19, inner: 240, rank: 3, range: [10, 9], ...everything },
    ),
  ]);
});
