import { describe, test } from 'vitest';
import { type EmbedShape, embedCase, embedShapes } from '../../src/bench/cases/embed.ts';
import type { EmbedVariant } from '../../src/ops/embedding.ts';
import { sharingVariant } from '../../src/ops/matmul-choice.ts';
import { expectSameBits, openTestGpu, testCases } from '../support/gpu.ts';
import { withSeed } from '../support/random.ts';

const gpu = openTestGpu();

describe('embed', () => {
  testCases(
    gpu,
    embedShapes.map((shape) => embedCase(shape)),
  );
});

// A software adapter makes rows together, others one at a time.
describe('embed, the kernel of GPUs', () => {
  const hardware = openTestGpu({ kernelStyle: 'hardware' });
  const shapes = embedShapes.filter(({ storage = 'f32' }) => storage === 'f32');
  testCases(
    hardware,
    shapes.map((shape) => embedCase(shape)),
  );
});

// Journals do not say which of them made their rows.
test('rows have the same bits however many are made together', () =>
  withSeed('embed, variants', async (random) => {
    const shape: EmbedShape = {
      rows: random.integer(24, 40),
      vocabulary: 60,
      columns: 4 * random.integer(5, 40),
      probes: 2,
      rank: random.integer(1, 9),
      bank: 12,
      bankScale: 0.7,
      weightScale: 0.9,
      parts: 2,
      storage: 'f16',
      factors: 'f16',
    };
    const sharing = sharingVariant(gpu());
    const variants: EmbedVariant[] = ['one-row', 'four-rows', ...(sharing ? [sharing] : [])];
    for (const accumulate of [false, true]) {
      const caseOf = (variant: EmbedVariant) => embedCase({ ...shape, accumulate }, variant);
      await expectSameBits(gpu(), 'embed, variants', variants, caseOf);
    }
  }));
