/**
 * Runs a kernel of one's own on the GPU: y = factor · x.
 *
 * Run: `node runtime.ts` (or bun, or deno run --allow-all), with `subzero-webgpu` installed.
 */

import { addKernelSource, Gpu } from 'subzero-webgpu/runtime';

// Bindings and parameters are declared here and nowhere else; `WORKGROUP_SIZE` is a constant of the definition below.
addKernelSource(
  'example/scale.wgsl',
  `
  struct Parameters { count: u32, factor: f32 }
  @group(0) @binding(0) var<storage, read> x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform> parameters: Parameters;

  @compute @workgroup_size(WORKGROUP_SIZE)
  fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x < parameters.count) { y[id.x] = parameters.factor * x[id.x]; }
  }`,
);

const gpu = await Gpu.open();
console.log(`adapter: ${gpu.adapter.description || gpu.adapter.device}`);
const kernel = gpu.kernel({ files: ['example/scale.wgsl'], constants: { WORKGROUP_SIZE: 64 } });

const count = 1000;
const x = gpu.allocate(count * 4, 'scratch', 'x');
const y = gpu.allocate(count * 4, 'scratch', 'y');
x.write(Float32Array.from({ length: count }, (_, index) => index));
gpu.recorder.dispatch(kernel, [x, y], { count, factor: 0.5 }, [Math.ceil(count / 64)]);
const [result] = await gpu.recorder.read([{ buffer: y, bytes: count * 4 }]);
console.log(`y[0..4] = ${new Float32Array(result!).slice(0, 4).join(', ')}`);

x.destroy();
y.destroy();
gpu.close();
