// matmul, few-rows: the variant for GPUs and up to ROWS rows, 1 or 4 (token-by-token generation), where reading W takes
// all of the time. A workgroup takes 4 columns. For each column, 32 lanes walk along its row of W together, so that
// neighbouring lanes read neighbouring words, with four in flight; every word read serves all rows. A fixed tree in
// workgroup memory adds the lanes' sums.

const LANES: u32 = 32u;
const COLUMNS: u32 = 4u;

alias Sums = array<f32, ROWS>;

var<workgroup> partial: array<Sums, LANES * COLUMNS>;

@compute @workgroup_size(LANES, COLUMNS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let column_blocks = (parameters.columns + COLUMNS - 1u) / COLUMNS;
  let index = group.y * groups.x + group.x;
  let span = span_of(index / column_blocks, ROWS);
  let row_start = span.block * ROWS;
  let column = (index % column_blocks) * COLUMNS + local.y;
  let last_row = max(span.rows, 1u) - 1u;
  let safe_column = min(column, parameters.columns - 1u);
  // The indices of this workgroup's rows in x; surplus ones repeat the last row and are not written.
  var rows: array<u32, ROWS>;
  for (var i = 0u; i < ROWS; i++) {
    rows[i] = span.first + min(row_start + i, last_row);
  }

  var sums: Sums;
  let weight_start = (span.weight_row + safe_column) * parameters.inner_quads;
  // A span without rows passes the barriers and does nothing else.
  let inner = select(0u, inner_end(group.z), span.rows > 0u);
  var k = inner_start(group.z) + local.x;
  for (; k + 3u * LANES < inner; k += 4u * LANES) {
    let place = weight_start + k;
    let one = weight_quad(place);
    let two = weight_quad(place + LANES);
    let three = weight_quad(place + 2u * LANES);
    let four = weight_quad(place + 3u * LANES);
    for (var i = 0u; i < ROWS; i++) {
      let x_place = rows[i] * parameters.inner_quads + k;
      sums[i] += dot(x[x_place], one) + dot(x[x_place + LANES], two) + dot(x[x_place + 2u * LANES], three)
        + dot(x[x_place + 3u * LANES], four);
    }
  }
  for (; k < inner; k += LANES) {
    let w = weight_quad(weight_start + k);
    for (var i = 0u; i < ROWS; i++) {
      sums[i] += dot(x[rows[i] * parameters.inner_quads + k], w);
    }
  }
  let u_start = (span.output_row + safe_column) * parameters.rank_quads;
  let rank = select(0u, rank_end(group.z), span.rows > 0u);
  for (var i = 0u; i < ROWS; i++) {
    sums[i] *= parameters.weight_scale;
    let q_start = parameters.q_start + rows[i] * parameters.rank_quads;
    for (var j = local.x; j < rank; j += LANES) {
      sums[i] += dot(q[q_start + j], u_quad(u_start + j));
    }
  }
  partial[lane] = sums;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half >>= 1u) {
    if (local.x < half) {
      for (var i = 0u; i < ROWS; i++) {
        partial[lane][i] += partial[lane + half][i];
      }
    }
    workgroupBarrier();
  }
  if (local.x < ROWS && column < parameters.columns && row_start + local.x < span.rows) {
    // The sum is already scaled.
    finish(0.0, partial[local.y * LANES][local.x], span.first + row_start + local.x, column, group.z);
  }
}
