import { describe, expect, test } from 'vitest';
import { Bed } from '../../src/bench/bed.ts';
import { embedCase, embedShapes } from '../../src/bench/cases/embed.ts';
import { store } from '../../src/bench/storage.ts';
import { embed } from '../../src/ops/embedding.ts';
import { sharedLanes } from '../../src/ops/matmul-choice.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';
import { withSeed } from '../support/random.ts';

const gpu = openTestGpu();

describe('embed', () => {
  testCases(gpu, embedShapes.map(embedCase));
});

// A software adapter makes rows together, others one at a time.
describe('embed, the kernel of GPUs', () => {
  const hardware = openTestGpu({ kernelStyle: 'hardware' });
  testCases(hardware, embedShapes.filter(({ storage = 'f32' }) => storage === 'f32').map(embedCase));
});

// Journals do not say which of them made their rows.
test('rows have the same bits however many are made together', () =>
  withSeed('embed, variants', async (random) => {
    const bed = new Bed(gpu(), random);
    const [rows, probes, vocabulary, columns] = [random.integer(24, 40), 2, 60, 4 * random.integer(5, 40)];
    const all = rows * probes;
    bed.reserve(all);
    const table = bed.referenceFactors(vocabulary, columns, random.integer(1, 9), probes, 12, 'f16');
    const context = bed.context({ count: probes, weightScale: 0.9, factors: { table } });
    context.probes.bankScale = 0.7;
    const ids = bed.upload(Uint32Array.from({ length: rows }, () => random.integer(0, vocabulary - 1)));
    const weight = bed.weight('table', store(random.normals(vocabulary * columns), vocabulary, columns, 'f16'), 2);
    const before = random.normals(all * columns);
    const made = (variant: 'one-row' | 'four-rows' | 'subgroup') =>
      [undefined, bed.activation(before, all, columns)].map(
        (addTo) => embed(context, ids, all, weight, addTo, variant).buffer,
      );
    const variants = ['one-row', 'four-rows', ...(sharedLanes(gpu()) === 8 ? (['subgroup'] as const) : [])] as const;
    const buffers = variants.flatMap(made);
    const bytes = all * columns * 4;
    const results = await gpu().recorder.read(buffers.map((buffer) => ({ buffer, bytes })));
    for (const [index, bits] of results.entries()) {
      expect(Buffer.from(bits).equals(Buffer.from(results[index % 2]!)), `${index}`).toBe(true);
    }
    expect(new Float32Array(results[0]!).every(Number.isFinite)).toBe(true);
    bed.destroy();
  }));
