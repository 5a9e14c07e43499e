// Gated activation of a feed-forward layer (SwiGLU and its relatives), in place: gate[i] ← ACTIVATION(gate[i]) · up[i].

struct Parameters {
  quads: u32,
}

@group(0) @binding(0) var<storage, read> up: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> gate: array<vec4<f32>>;
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
  let value = gate[index];
  gate[index] = activate_quad(value) * up[index];
}
