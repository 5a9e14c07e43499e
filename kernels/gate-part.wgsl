// Gated activation with a run of the columns of something wider, in place: gate[i, c] ← scale · ACTIVATION(gate[i, c])
// · wide[i, first + c].
//
// gate: [rows, 4·width_quads] f32, wide: [rows, 4·stride_quads], first = 4·first_quad. One invocation per quad of gate.

struct Parameters {
  quads: u32,
  width_quads: u32,
  stride_quads: u32,
  first_quad: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> wide: array<vec4<f32>>;
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
  let row = index / parameters.width_quads;
  let place = row * parameters.stride_quads + parameters.first_quad + index % parameters.width_quads;
  let activated = activate_quad(value);
  gate[index] = parameters.scale * activated * wide[place];
}
