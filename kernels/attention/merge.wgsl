// Attention, merge: combines the slices of attention/workgroup.wgsl (SLICED), always in the same order. Each slice
// holds the sums of its keys' values relative to its own highest score. They are rescaled to the highest score of all
// slices, added, and divided by the total weight. One invocation per element of the result [rows · heads, width].

struct Parameters {
  count: u32, // rows · heads
  slices: u32,
  width: u32,
}

@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let width = parameters.width;
  if (index >= parameters.count * width) {
    return;
  }
  let first = (index / width) * parameters.slices * (width + 2u);
  var highest = -3.0e38;
  for (var slice = 0u; slice < parameters.slices; slice++) {
    highest = max(highest, parts[first + slice * (width + 2u) + width]);
  }
  var sum = 0.0;
  var total = 0.0;
  for (var slice = 0u; slice < parameters.slices; slice++) {
    let part = first + slice * (width + 2u);
    let share = exp(parts[part + width] - highest);
    sum = fma(share, parts[part + index % width], sum);
    total = fma(share, parts[part + width + 1u], total);
  }
  y[index] = sum / max(total, 1.0e-30); // zeros for a row without keys
}
