// matmul, lane-columns: the variant for software adapters. A workgroup is one SIMD vector of 8 lanes; each lane owns 4 columns of y and
// all lanes share 6 rows. The rows are the same for the whole workgroup, so that their loads are scalar; only W is gathered
// lane by lane, and each gathered value serves 6 rows. No workgroup memory and no barriers: a CPU has caches instead.

const ROWS: u32 = 6u;
const LANES: u32 = 8u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let column_blocks = (parameters.columns + 4u * LANES - 1u) / (4u * LANES);
  let index = group.y * groups.x + group.x;
  let row = (index / column_blocks) * ROWS;
  let column = (index % column_blocks) * 4u * LANES + lane;
  if (row >= parameters.rows) {
    return;
  }
  let last_row = parameters.rows - 1u;
  let columns = min(column + vec4<u32>(0u, 1u, 2u, 3u) * LANES, vec4<u32>(parameters.columns - 1u));
  let rows_0 = min(vec3<u32>(row, row + 1u, row + 2u), vec3<u32>(last_row));
  let rows_1 = min(vec3<u32>(row + 3u, row + 4u, row + 5u), vec3<u32>(last_row));

  // base_i holds row i: one value for each of the lane's four columns.
  var base_0 = vec4<f32>();
  var base_1 = vec4<f32>();
  var base_2 = vec4<f32>();
  var base_3 = vec4<f32>();
  var base_4 = vec4<f32>();
  var base_5 = vec4<f32>();
  let x_start_0 = rows_0 * parameters.inner_quads;
  let x_start_1 = rows_1 * parameters.inner_quads;
  let weight_start = (vec4<u32>(parameters.weight_row) + columns) * parameters.inner_quads;
  for (var k = 0u; k < parameters.inner_quads; k++) {
    let a = widen(weight[weight_start.x + k]);
    let b = widen(weight[weight_start.y + k]);
    let c = widen(weight[weight_start.z + k]);
    let d = widen(weight[weight_start.w + k]);
    base_0 = accumulate_row(base_0, x[x_start_0.x + k], a, b, c, d);
    base_1 = accumulate_row(base_1, x[x_start_0.y + k], a, b, c, d);
    base_2 = accumulate_row(base_2, x[x_start_0.z + k], a, b, c, d);
    base_3 = accumulate_row(base_3, x[x_start_1.x + k], a, b, c, d);
    base_4 = accumulate_row(base_4, x[x_start_1.y + k], a, b, c, d);
    base_5 = accumulate_row(base_5, x[x_start_1.z + k], a, b, c, d);
  }

  var side_0 = vec4<f32>();
  var side_1 = vec4<f32>();
  var side_2 = vec4<f32>();
  var side_3 = vec4<f32>();
  var side_4 = vec4<f32>();
  var side_5 = vec4<f32>();
  let q_start_0 = rows_0 * parameters.rank_quads;
  let q_start_1 = rows_1 * parameters.rank_quads;
  let u_start = (vec4<u32>(parameters.output_row) + columns) * parameters.rank_quads;
  for (var j = 0u; j < parameters.rank_quads; j++) {
    let a = u[u_start.x + j];
    let b = u[u_start.y + j];
    let c = u[u_start.z + j];
    let d = u[u_start.w + j];
    side_0 = accumulate_row(side_0, q[q_start_0.x + j], a, b, c, d);
    side_1 = accumulate_row(side_1, q[q_start_0.y + j], a, b, c, d);
    side_2 = accumulate_row(side_2, q[q_start_0.z + j], a, b, c, d);
    side_3 = accumulate_row(side_3, q[q_start_1.x + j], a, b, c, d);
    side_4 = accumulate_row(side_4, q[q_start_1.y + j], a, b, c, d);
    side_5 = accumulate_row(side_5, q[q_start_1.z + j], a, b, c, d);
  }

  finish_row(base_0, side_0, row, column);
  finish_row(base_1, side_1, row + 1u, column);
  finish_row(base_2, side_2, row + 2u, column);
  finish_row(base_3, side_3, row + 3u, column);
  finish_row(base_4, side_4, row + 4u, column);
  finish_row(base_5, side_5, row + 5u, column);
}

// sums + (x·a, x·b, x·c, x·d), element by element: four independent chains of fma.
fn accumulate_row(sums: vec4<f32>, x_quad: vec4<f32>, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> vec4<f32> {
  var result = fma(vec4<f32>(x_quad.x), vec4<f32>(a.x, b.x, c.x, d.x), sums);
  result = fma(vec4<f32>(x_quad.y), vec4<f32>(a.y, b.y, c.y, d.y), result);
  result = fma(vec4<f32>(x_quad.z), vec4<f32>(a.z, b.z, c.z, d.z), result);
  return fma(vec4<f32>(x_quad.w), vec4<f32>(a.w, b.w, c.w, d.w), result);
}

fn finish_row(base: vec4<f32>, side: vec4<f32>, row: u32, column: u32) {
  if (row >= parameters.rows) {
    return;
  }
  for (var j = 0u; j < 4u; j++) {
    if (column + j * LANES < parameters.columns) {
      finish(base[j], side[j], row, column + j * LANES);
    }
  }
}
