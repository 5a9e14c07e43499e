#!/usr/bin/env bash
# Dawn (npm webgpu 0.6.2) on Mesa 25.0.7 lavapipe: WGSL's fma() rounds twice.
#
# Guess: software drivers make one fused instruction of fma() on processors that have one, rounded once.
# Seen:  With a = 1 + 2^-12, fma(a, a, -(1 + 2^-11)) is 0, as a * a rounded and then added; a fused one gives 2^-24.
#        Mesa 26.1.6 and SwiftShader 5.0.0 do the same, Mesa 26.2.6 (LLVM 22) gives 2^-24: the bits of sums change with
#        the driver's version. WGSL allows both, since fma(x, y, z) may be as exact as x * y + z.
#
# Needs Mesa 25.0.7 installed (Debian 12: mesa-vulkan-drivers from bookworm-backports), and picks its software adapter
# where there is a GPU too. Elsewhere it ends with 1 and a line with the version seen, whatever that gives.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund webgpu@0.6.2
cat >probe.mjs <<'NODE'
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);
const instance = create(['adapter=llvmpipe']);
const adapter = await instance.requestAdapter().catch(() => null);
if (!adapter?.info.description.includes('Mesa 25.0.7')) {
  console.log(`needs Mesa 25.0.7 lavapipe; found ${adapter?.info.description ?? 'no llvmpipe'}`);
  process.exit(1);
}
const device = await adapter.requestDevice();
const code = `
@group(0) @binding(0) var<storage, read_write> values: array<f32>;
@compute @workgroup_size(1)
fn main() {
  let a = values[0];
  values[2] = fma(a, a, values[1]);
}`;
const module = device.createShaderModule({ code });
const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
const values = device.createBuffer({
  size: 16,
  usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
});
const copy = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
device.queue.writeBuffer(values, 0, new Float32Array([1 + 2 ** -12, -(1 + 2 ** -11), Number.NaN, 0]));
const encoder = device.createCommandEncoder();
const pass = encoder.beginComputePass();
pass.setPipeline(pipeline);
const entries = [{ binding: 0, resource: { buffer: values } }];
pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
pass.dispatchWorkgroups(1);
pass.end();
encoder.copyBufferToBuffer(values, 0, copy, 0, 16);
device.queue.submit([encoder.finish()]);
await copy.mapAsync(GPUMapMode.READ);
const result = new Float32Array(copy.getMappedRange())[2];
console.log(adapter.info.description);
console.log('fma(a, a, -(1 + 2^-11)) with a = 1 + 2^-12:', result, '(rounded once: 2^-24 =', `${2 ** -24})`);
process.exit(result === 0 ? 0 : 1);
NODE
node probe.mjs
