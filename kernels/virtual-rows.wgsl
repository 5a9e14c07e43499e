// Rows of virtual tokens (embeddings, keys or values) from a trained tensor: y[i] = trained_p[id_i − vocabulary] for
// row i of probe p = i / rows_per_probe, if id_i is after the vocabulary. Rows of real tokens are left as they are.
//
// The id of row i is ids[i mod input_rows]. trained_p: rows of 4·width_quads f32 at quad first_quad + p ·
// stride_quads; y: [rows, 4·width_quads]. One invocation per quad.

struct Parameters {
  rows: u32,
  width_quads: u32,
  rows_per_probe: u32,
  input_rows: u32,
  vocabulary: u32,
  first_quad: u32,
  stride_quads: u32,
}

@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> trained: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let row = index / parameters.width_quads;
  if (row >= parameters.rows) {
    return;
  }
  let id = ids[row % parameters.input_rows];
  if (id < parameters.vocabulary) {
    return;
  }
  let first = parameters.first_quad + (row / parameters.rows_per_probe) * parameters.stride_quads;
  y[index] = trained[first + (id - parameters.vocabulary) * parameters.width_quads + index % parameters.width_quads];
}
