/**
 * The generator on the GPU against the published vectors, the golden draws, the float64 form and the normal
 * distribution.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { normalisedError } from '../../src/bench/case.ts';
import { erf } from '../../src/bench/erf.ts';
import { assembleSource } from '../../src/gpu/kernel.ts';
import { perElement } from '../../src/gpu/workgroups.ts';
import { keyOfSeed } from '../../src/random/philox.ts';
import { openTestGpu } from '../support/gpu.ts';
import { Random, testSeed, withSeed } from '../support/random.ts';

const gpu = openTestGpu();

interface Golden {
  random123: { counter: number[]; key: number[]; result: number[] }[];
  cases: { key: number[]; first_counter: number[]; words: number[]; gaussians: number[] }[];
}

const golden = JSON.parse(readFileSync(new URL('../fixtures/golden/philox.json', import.meta.url), 'utf8')) as Golden;

/** Words and Gaussians of counters, through a shader of the test's own around the kernels' generator. */
async function draw(inputs: readonly { counter: readonly number[]; key: readonly number[] }[]) {
  const { device } = gpu();
  const code = `${assembleSource({ files: ['random/philox.wgsl'] })}
    struct Input { counter: vec4<u32>, key: vec4<u32> }
    @group(0) @binding(0) var<storage, read> inputs: array<Input>;
    @group(0) @binding(1) var<storage, read_write> words: array<vec4<u32>>;
    @group(0) @binding(2) var<storage, read_write> gaussians: array<vec4<f32>>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
      if (id.x >= arrayLength(&inputs)) { return; }
      words[id.x] = philox(inputs[id.x].counter, inputs[id.x].key.xy);
      gaussians[id.x] = gaussian_quad(inputs[id.x].counter, inputs[id.x].key.xy);
    }`;
  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
  });
  const data = Uint32Array.from(inputs.flatMap(({ counter, key }) => [...counter, ...key, 0, 0]));
  const input = gpu().allocate(data.byteLength, 'scratch', 'counters');
  input.write(data);
  const outputs = [0, 1].map(() => gpu().allocate(inputs.length * 16, 'scratch', 'draws'));
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [input, ...outputs].map((buffer, binding) => ({ binding, resource: { buffer: buffer.raw } })),
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(Math.ceil(inputs.length / 64));
  pass.end();
  device.queue.submit([encoder.finish()]);
  const [words, gaussians] = await gpu().recorder.read(
    outputs.map((buffer) => ({ buffer, bytes: inputs.length * 16 })),
  );
  for (const buffer of [input, ...outputs]) buffer.destroy();
  return { words: [...new Uint32Array(words!)], gaussians: new Float32Array(gaussians!) };
}

test('the published vectors of Random123', async () => {
  expect(golden.random123).toHaveLength(3);
  const { words } = await draw(golden.random123);
  expect(words).toEqual(golden.random123.flatMap(({ result }) => result));
});

test('the golden draws: words exact, Gaussians to f32', async () => {
  const inputs = golden.cases.flatMap(({ key, first_counter: counter, words }) =>
    words
      .filter((_, index) => index % 4 === 0)
      .map((_, block) => ({ counter: [counter[0]! + block, ...counter.slice(1)], key })),
  );
  const { words, gaussians } = await draw(inputs);
  expect(words).toEqual(golden.cases.flatMap((entry) => entry.words));
  expect(
    normalisedError(
      gaussians,
      golden.cases.flatMap((entry) => entry.gaussians),
    ),
  ).toBeLessThan(1e-12);
});

/** `count` Gaussians of a random stream, as the factors get them. */
async function sample(count: number, random: Random): Promise<Float32Array> {
  const matrix = gpu().allocate(count * 4, 'scratch', 'sample');
  const [seedLow, seedHigh] = keyOfSeed(random.word());
  gpu().recorder.dispatch(
    gpu().kernel({ files: ['random/philox.wgsl', 'random/gaussian-matrix.wgsl'] }),
    [matrix],
    {
      ...{ seed_low: seedLow, seed_high: seedHigh, tensor: random.word(), period: 0, purpose: 1 },
      ...{ rows: count, columns: 1, row_stride: 1, column_stride: 1, matrix_start: 0 },
    },
    perElement(count / 4),
  );
  const [data] = await gpu().recorder.read([{ buffer: matrix, bytes: count * 4 }]);
  matrix.destroy();
  return new Float32Array(data!);
}

describe('the Gaussians', () => {
  const count = 1 << 18;

  test('have the moments of N(0, 1) and no correlation between neighbours', () =>
    withSeed('moments', async (random) => {
      const values = await sample(count, random);
      const mean = (term: (value: number, index: number) => number) => {
        let sum = 0;
        for (let index = 0; index < count; index++) sum += term(values[index]!, index);
        return sum / count;
      };
      // Six standard errors: var(z) = 1, var(z²) = 2, var(z³) = 15, var(z⁴) = 96, var(z z') = 1.
      const bound = (variance: number) => 6 * Math.sqrt(variance / count);
      expect(Math.abs(mean((value) => value))).toBeLessThan(bound(1));
      expect(Math.abs(mean((value) => value ** 2) - 1)).toBeLessThan(bound(2));
      expect(Math.abs(mean((value) => value ** 3))).toBeLessThan(bound(15));
      expect(Math.abs(mean((value) => value ** 4) - 3)).toBeLessThan(bound(96));
      for (const lag of [1, 2, 3, 4, 256]) {
        expect(Math.abs(mean((value, index) => value * (values[(index + lag) % count] ?? 0)))).toBeLessThan(bound(1));
      }
    }));

  test('pass a Kolmogorov–Smirnov test', () =>
    withSeed('Kolmogorov–Smirnov', async (random) => {
      const values = (await sample(count, random)).sort();
      let distance = 0;
      for (let index = 0; index < count; index++) {
        const probability = 0.5 * (1 + erf(values[index]! / Math.SQRT2));
        distance = Math.max(distance, probability - index / count, (index + 1) / count - probability);
      }
      // P(√n·D > 3.3) = 2·exp(−2·3.3²) < 1e-9.
      expect(distance * Math.sqrt(count)).toBeLessThan(3.3);
    }));

  test('are finite at both ends of every word', async () => {
    // Counters cannot be aimed at words, so a million of them are drawn: the extreme words among them lie within 1e-6
    // of both ends.
    const values = await sample(1 << 20, new Random(testSeed, 'finite'));
    expect(values.every(Number.isFinite)).toBe(true);
    expect(values.reduce((highest, value) => Math.max(highest, Math.abs(value)), 0)).toBeLessThan(
      Math.sqrt(2 * 33 * Math.LN2) + 1e-3,
    );
  });
});
