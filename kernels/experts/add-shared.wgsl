// What an expert for every row gives, added: y[row] += sigmoid(gates[row · gate_stride]) · x[row].
//
// x, y: [rows, 4·width_quads] f32. One invocation per quad of y.

struct Parameters {
  quads: u32,
  width_quads: u32,
  gate_stride: u32,
}

@group(0) @binding(0) var<storage, read> gates: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

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
  let gate = gates[index / parameters.width_quads * parameters.gate_stride];
  y[index] += x[index] / (1.0 + exp(-gate));
}
