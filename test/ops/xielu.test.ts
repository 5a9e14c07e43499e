import { expect, test } from 'vitest';
import { Bed } from '../../src/bench/bed.ts';
import { xielu } from '../../src/ops/xielu.ts';
import { openTestGpu } from '../support/gpu.ts';
import { Random, testSeed } from '../support/random.ts';

const gpu = openTestGpu();
const softplus = (value: number): number => Math.log1p(Math.exp(value));

test.each([
  { beta: 0.5, epsilon: -1e-6, deviation: 1 },
  { beta: 0.5, epsilon: -1e-6, deviation: 1e-4 },
  { beta: 0.25, epsilon: -0.1, deviation: 0.2 },
  { beta: 0.5, epsilon: -1e-6, deviation: 30 },
])('xIELU of each probe, in float64 too: %o', async ({ beta, epsilon, deviation }) => {
  const [rows, width, stored, probes] = [7, 13, 16, 3];
  const random = new Random(testSeed, 'xielu');
  const bed = new Bed(gpu(), random);
  // The last one is so large that an exponential of it overflows.
  const positive = [random.normals(1, 2), random.normals(1, 2), new Float32Array([100])];
  const negative = [random.normals(1, 2), random.normals(1, 2), new Float32Array([-100])];
  bed.reserve(rows * probes);
  const context = bed.context({ count: probes, vectors: { positive, negative } });
  const data = random.normals(rows * probes * stored, deviation);
  const x = bed.activation(data, rows * probes, stored);
  xielu(context, x, { positive: 'positive', negative: 'negative', beta, epsilon, width });
  const [bytes] = await gpu().recorder.read([{ buffer: x.buffer, bytes: data.length * 4 }]);
  const given = new Float32Array(bytes!);
  bed.destroy();
  for (const [index, value] of data.entries()) {
    const probe = Math.floor(index / (rows * stored));
    const above = softplus(positive[probe]![0]!) * value * value + beta * value;
    const curve = Math.expm1(Math.min(value, epsilon)) - value;
    const below = curve * (beta + softplus(negative[probe]![0]!)) + beta * value;
    // Pads stay as they are.
    const expected = index % stored >= width ? value : value > 0 ? above : below;
    const bound = 4e-6 * (Math.abs(expected) + Math.abs(value));
    expect(Math.abs(given[index]! - expected), `${index}: ${value} (seed ${testSeed})`).toBeLessThanOrEqual(bound);
  }
});
