// Copies rows by index: y[j] = x[p · source_stride + indices[j mod index_count]] for row j of probe p = j / count, each
// row being `width` f32.

struct Parameters {
  count: u32,
  index_count: u32,
  width: u32,
  probes: u32,
  source_stride: u32,
}

@group(0) @binding(0) var<storage, read> indices: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let row = index / parameters.width;
  let column = index % parameters.width;
  if (row >= parameters.count * parameters.probes) {
    return;
  }
  let other = indices[row % parameters.index_count];
  let probe = row / parameters.count;
  y[index] = x[(probe * parameters.source_stride + other) * parameters.width + column];
}
