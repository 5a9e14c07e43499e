// Gated activation of a feed-forward layer whose gate and up are one projection: y[i, c] = ACTIVATION(packed[i, c]) ·
// packed[i, width + c].
//
// packed: [rows, 2 · width] f32, y: [rows, width], width = 4·width_quads. One invocation per quad of y.

struct Parameters {
  quads: u32,
  width_quads: u32,
}

@group(0) @binding(0) var<storage, read> packed: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index >= parameters.quads) {
    return;
  }
  let start = index + index / parameters.width_quads * parameters.width_quads;
  let value = packed[start];
  let up = packed[start + parameters.width_quads];
  y[index] = activate_quad(value) * up;
}
