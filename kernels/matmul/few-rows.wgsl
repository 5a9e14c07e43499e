// matmul, few-rows: the variant for GPUs and 1 to 4 rows (token by token generation), where reading W is all the time there is. A
// workgroup takes 4 columns and 32 lanes walk along each one's row of W together, so that neighbouring lanes read neighbouring
// words; every word read serves all rows. The lanes' sums are added in a fixed tree in workgroup memory.

const LANES: u32 = 32u;
const COLUMNS: u32 = 4u;
const ROWS: u32 = 4u;

var<workgroup> partial: array<vec4<f32>, LANES * COLUMNS>;

@compute @workgroup_size(LANES, COLUMNS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let column_blocks = (parameters.columns + COLUMNS - 1u) / COLUMNS;
  let index = group.y * groups.x + group.x;
  let row_start = (index / column_blocks) * ROWS;
  let column = (index % column_blocks) * COLUMNS + local.y;
  let last_row = parameters.rows - 1u;
  let safe_column = min(column, parameters.columns - 1u);
  // The numbers of this workgroup's rows in x; spare ones repeat the last row and are not written.
  let rows = vec4<u32>(parameters.row_start) + min(row_start + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last_row));

  var sums = vec4<f32>();
  let weight_start = (parameters.weight_row + safe_column) * parameters.inner_quads;
  let x_start = rows * parameters.inner_quads;
  let inner = inner_end(group.z);
  for (var k = inner_start(group.z) + local.x; k < inner; k += LANES) {
    let w = widen(weight[weight_start + k]);
    sums += vec4<f32>(dot(x[x_start.x + k], w), dot(x[x_start.y + k], w), dot(x[x_start.z + k], w), dot(x[x_start.w + k], w));
  }
  sums *= parameters.weight_scale;
  let u_start = (parameters.output_row + safe_column) * parameters.rank_quads;
  let q_start = vec4<u32>(parameters.q_start) + rows * parameters.rank_quads;
  let rank = rank_end(group.z);
  for (var j = local.x; j < rank; j += LANES) {
    let w = u[u_start + j];
    sums += vec4<f32>(dot(q[q_start.x + j], w), dot(q[q_start.y + j], w), dot(q[q_start.z + j], w), dot(q[q_start.w + j], w));
  }
  partial[lane] = sums;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half >>= 1u) {
    if (local.x < half) {
      partial[lane] += partial[lane + half];
    }
    workgroupBarrier();
  }
  if (local.x < ROWS && column < parameters.columns && row_start + local.x <= last_row) {
    // Already scaled.
    finish(0.0, partial[local.y * LANES][local.x], parameters.row_start + row_start + local.x, column, group.z);
  }
}
