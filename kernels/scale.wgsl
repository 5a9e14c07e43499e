// A factor of all elements, in place, and a soft cap: x[i] ← soft_cap(scale · x[i]).

struct Parameters {
  count: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index < parameters.count) {
    x[index] = soft_cap(parameters.scale * x[index]);
  }
}
