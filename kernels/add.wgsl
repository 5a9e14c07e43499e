// The sum of two activations, in place: sum[i] ← sum[i] + x[i], or with SCALED sum[i] + scale · x[i], and with
// SUM_SCALED this times sum_scale.

struct Parameters {
  quads: u32,
  scale: f32,
  sum_scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> sum: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index < parameters.quads) {
    let added = sum[index] + select(x[index], parameters.scale * x[index], SCALED);
    sum[index] = select(added, parameters.sum_scale * added, SUM_SCALED);
  }
}
