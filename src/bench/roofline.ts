/**
 * Measures the limits of this adapter: bytes per second through memory, and f32 operations per second. Every kernel is
 * compared with the longer of the two times that these limits allow it.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';

/** The two limits. */
export interface Roofline {
  /** Bytes read plus bytes written per second by the fastest copy. */
  bytesPerSecond: number;
  /** Operations per second; a fused multiply-add counts as two. */
  flopsPerSecond: number;
}

/** Independent chains of vec4 per invocation: too few starve the pipeline, too many spill registers. */
const chainCounts = [2, 4, 8, 16];
const fmaSteps = 256;

/** A kernel that only multiplies and adds; one write keeps the result alive. */
function fmaSource(chains: number): string {
  const each = (line: (chain: number) => string) =>
    Array.from({ length: chains }, (_, chain) => line(chain)).join('\n');
  return `
    @group(0) @binding(0) var<storage, read_write> result: array<vec4<f32>>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
      let a = vec4<f32>(f32(id.x & 7u) * 0.125 + 0.5);
      let b = vec4<f32>(0.25, 0.5, 0.75, 1.0);
      ${each((chain) => `var c${chain} = vec4<f32>(f32(id.x + ${chain}u));`)}
      for (var step = 0u; step < ${fmaSteps}u; step++) {
        ${each((chain) => `c${chain} = fma(c${chain}, a, b);`)}
      }
      var sum = vec4<f32>();
      ${each((chain) => `sum += c${chain};`)}
      if (sum.x == -1.0) { result[0] = sum; }
    }`;
}

const copySource = `
  @group(0) @binding(0) var<storage, read_write> target_words: array<vec4<f32>>;
  @group(0) @binding(1) var<storage, read> source_words: array<vec4<f32>>;
  @compute @workgroup_size(256)
  fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = id.y * groups.x * 256u + id.x;
    if (index < arrayLength(&source_words)) { target_words[index] = source_words[index]; }
  }`;

/** Wall-clock seconds of the fastest of several submissions; `repeats` hides the cost of a submission. */
async function fastest(gpu: Gpu, record: (encoder: GPUCommandEncoder) => void, repeats: number): Promise<number> {
  const { queue } = gpu.device;
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 6; run++) {
    const encoder = gpu.device.createCommandEncoder();
    for (let repeat = 0; repeat < repeats; repeat++) record(encoder);
    const start = performance.now();
    queue.submit([encoder.finish()]);
    await queue.onSubmittedWorkDone();
    if (run > 0) best = Math.min(best, (performance.now() - start) / 1000 / repeats);
  }
  return best;
}

function pipelineOf(gpu: Gpu, code: string): GPUComputePipeline {
  const module = gpu.device.createShaderModule({ code });
  return gpu.device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
}

/** Measures both limits; takes a second or two. */
export async function measureRoofline(gpu: Gpu): Promise<Roofline> {
  const { device } = gpu;
  // The buffers are far larger than any cache, yet can be bound on every adapter.
  const bytes = Math.min(gpu.bindingLimit, gpu.adapter.software ? 2 ** 26 : 2 ** 29);
  const [target, source] = [gpu.allocate(bytes, 'scratch', 'copy'), gpu.allocate(bytes, 'scratch', 'copy')];
  const run = (pipeline: GPUComputePipeline, buffers: GPUBuffer[], x: number, y = 1) => {
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    return (encoder: GPUCommandEncoder): void => {
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(x, y);
      pass.end();
    };
  };
  const groups = Math.ceil(bytes / 16 / 256);
  const rows = Math.ceil(groups / 65_535);
  const copies = [
    await fastest(gpu, run(pipelineOf(gpu, copySource), [target.raw, source.raw], Math.ceil(groups / rows), rows), 2),
    await fastest(gpu, (encoder) => encoder.copyBufferToBuffer(source.raw, 0, target.raw, 0, bytes), 2),
  ];
  let flopsPerSecond = 0;
  const workgroups = gpu.adapter.software ? 256 : 16_384;
  for (const chains of chainCounts) {
    const seconds = await fastest(gpu, run(pipelineOf(gpu, fmaSource(chains)), [target.raw], workgroups), 2);
    flopsPerSecond = Math.max(flopsPerSecond, (2 * 4 * chains * fmaSteps * 64 * workgroups) / seconds);
  }
  target.destroy();
  source.destroy();
  return { bytesPerSecond: (2 * bytes) / Math.min(...copies), flopsPerSecond };
}
