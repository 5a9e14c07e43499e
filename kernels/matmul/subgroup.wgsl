// matmul, subgroup: for software adapters with subgroups of 8 or 4 (LANES), where each component that a lane loads
// costs as much as some twenty multiplications. A subgroup computes LANES · BLOCKS rows × 4 · LANES columns of y and
// loads nothing twice. Each lane loads one row of x per block, which the subgroup shares by broadcasts, and 4 rows of
// W for itself. That is BLOCKS + 4 quads for 16 · LANES · BLOCKS multiplications per lane; matmul/direct.wgsl loads 8
// quads for 64. Sums are added in the same order as there, so the bits are the same.

const LANE_COLUMNS: u32 = 4u;

// Adds one more quad of the inner dimension: left[b] is the quad of this lane's row of block b, right[i] that of its
// column i.
fn add_quads(sums: ptr<function, Sums>, left: mat4x4<f32>, right: mat4x4<f32>) {
  add_elements(sums, left, transpose(right));
}

// Loads the quads of this lane's rows of x (or of q below), one for each block.
fn left_quads(places: vec4<u32>) -> mat4x4<f32> {
  if (BLOCKS > 2u) {
    return mat4x4<f32>(x[places.x], x[places.y], x[places.z], x[places.w]);
  }
  if (BLOCKS > 1u) {
    return mat4x4<f32>(x[places.x], x[places.y], vec4<f32>(), vec4<f32>());
  }
  return mat4x4<f32>(x[places.x], vec4<f32>(), vec4<f32>(), vec4<f32>());
}

fn side_left_quads(places: vec4<u32>) -> mat4x4<f32> {
  if (BLOCKS > 2u) {
    return mat4x4<f32>(q[places.x], q[places.y], q[places.z], q[places.w]);
  }
  if (BLOCKS > 1u) {
    return mat4x4<f32>(q[places.x], q[places.y], vec4<f32>(), vec4<f32>());
  }
  return mat4x4<f32>(q[places.x], vec4<f32>(), vec4<f32>(), vec4<f32>());
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let column_blocks = (parameters.columns + LANE_COLUMNS * LANES - 1u) / (LANE_COLUMNS * LANES);
  let index = group.y * groups.x + group.x;
  let span = span_of(index / column_blocks, LANES * BLOCKS);
  let first_row = span.block * (LANES * BLOCKS);
  let column = (index % column_blocks) * (LANE_COLUMNS * LANES) + lane;
  if (first_row >= span.rows) {
    return;
  }
  // The rows of x and W that this lane loads. Rows after the last one are replaced by the last one and not written.
  let row = vec4<u32>(first_row + lane) + LANES * vec4<u32>(0u, 1u, 2u, 3u);
  let rows = span.first + min(row, vec4<u32>(span.rows - 1u));
  let place = vec4<u32>(column) + LANES * vec4<u32>(0u, 1u, 2u, 3u);
  let columns = min(place, vec4<u32>(parameters.columns - 1u));

  var side: Sums;
  for (var j = 0u; j < parameters.rank_quads; j++) {
    let own = (span.output_row + columns) * parameters.rank_quads + j;
    let left = side_left_quads(parameters.q_start + rows * parameters.rank_quads + j);
    add_quads(&side, left, mat4x4<f32>(u_quad(own.x), u_quad(own.y), u_quad(own.z), u_quad(own.w)));
  }
  var base: Sums;
  add_base(&base, rows, span.weight_row + columns);

  // Bounds that depend on no constant keep each loop a loop, because no compiler can tell its largest number of
  // iterations.
  let end_row = min(first_row + LANES * BLOCKS, span.rows);
  let end_column = min(column + LANE_COLUMNS * LANES, parameters.columns);
  for (var i = first_row; i < end_row; i++) {
    let values = parameters.weight_scale * base[i - first_row] + side[i - first_row];
    for (var c = column; c < end_column; c += LANES) {
      write(values[(c - column) / LANES], span.first + i, c, 0u);
    }
  }
}
