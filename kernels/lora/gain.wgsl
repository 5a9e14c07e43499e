// The gains of a DoRA: g[o] ← m[o] / ‖W[o] + scale · Σ_j B[o, j] · A[j]‖, in the place of its magnitudes m.
//
// weight: rows of 4·inner_quads elements, `rows` of them, which are the rows from row_start on of the whole weight;
// state holds A [rank, columns] at a_offset, B [all rows, rank] at b_offset, m [all rows] at gain_offset, all without
// pads. Pads of a weight's columns (ROW widths) are zero in both and add nothing. One invocation per row of the weight.
//
// Source: Liu et al. 2024, DoRA, equation 5: the norm is that of each output's weights.

struct Parameters {
  rows: u32,
  row_start: u32,
  row_width: u32,
  row_stride: u32,
  inner_quads: u32,
  column_width: u32,
  column_stride: u32,
  columns: u32,
  rank: u32,
  a_offset: u32,
  b_offset: u32,
  gain_offset: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> weight: array<WeightWord>;
@group(0) @binding(1) var<storage, read_write> state: array<f32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index >= parameters.rows) {
    return;
  }
  let stored_row = parameters.row_start + index;
  if (stored_row % parameters.row_stride >= parameters.row_width) {
    return;
  }
  let row = stored_row / parameters.row_stride * parameters.row_width + stored_row % parameters.row_stride;
  let b_start = parameters.b_offset + row * parameters.rank;
  var squares = vec4<f32>();
  for (var k = 0u; k < parameters.inner_quads; k++) {
    var change = vec4<f32>();
    for (var i = 0u; i < 4u; i++) {
      let stored = 4u * k + i;
      let within = stored % parameters.column_stride;
      if (within < parameters.column_width) {
        let column = stored / parameters.column_stride * parameters.column_width + within;
        for (var j = 0u; j < parameters.rank; j++) {
          change[i] = fma(state[b_start + j], state[parameters.a_offset + j * parameters.columns + column], change[i]);
        }
      }
    }
    let value = fma(vec4<f32>(parameters.scale), change, weight_quad(index * parameters.inner_quads + k));
    squares = fma(value, value, squares);
  }
  let place = parameters.gain_offset + row;
  state[place] = state[place] / sqrt(squares.x + squares.y + squares.z + squares.w);
}
