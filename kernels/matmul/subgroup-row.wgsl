// matmul, subgroup-row: matmul/subgroup.wgsl for single rows (token by token generation). The 8 lanes load 8 quads of the row of x at
// once and share them by broadcasts; a lane makes one column, for which it loads W once. Sums are added in the same order
// as in matmul/direct.wgsl, so the bits are the same.

enable subgroups;

const LANES: u32 = 8u;

fn add_quad(sum: f32, left: vec4<f32>, right: vec4<f32>) -> f32 {
  return fma(left.w, right.w, fma(left.z, right.z, fma(left.y, right.y, fma(left.x, right.x, sum))));
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let column_blocks = (parameters.columns + LANES - 1u) / LANES;
  let index = group.y * groups.x + group.x;
  let row = index / column_blocks;
  let column = (index % column_blocks) * LANES + lane;
  if (row >= parameters.rows) {
    return;
  }

  var side = 0.0;
  var sum = 0.0;
  for (var phase = 0u; phase < 2u; phase++) {
    let is_side = phase == 0u;
    let depth = select(parameters.inner_quads, parameters.rank_quads, is_side);
    for (var k = 0u; k < depth; k += LANES) {
      // Behind the last quad both operands are 0.
      let left = left_quad(is_side, row, k + lane, depth, depth);
      sum = add_quad(sum, subgroupBroadcast(left, 0u), right_quad(is_side, column, k, depth, depth));
      sum = add_quad(sum, subgroupBroadcast(left, 1u), right_quad(is_side, column, k + 1u, depth, depth));
      sum = add_quad(sum, subgroupBroadcast(left, 2u), right_quad(is_side, column, k + 2u, depth, depth));
      sum = add_quad(sum, subgroupBroadcast(left, 3u), right_quad(is_side, column, k + 3u, depth, depth));
      sum = add_quad(sum, subgroupBroadcast(left, 4u), right_quad(is_side, column, k + 4u, depth, depth));
      sum = add_quad(sum, subgroupBroadcast(left, 5u), right_quad(is_side, column, k + 5u, depth, depth));
      sum = add_quad(sum, subgroupBroadcast(left, 6u), right_quad(is_side, column, k + 6u, depth, depth));
      sum = add_quad(sum, subgroupBroadcast(left, 7u), right_quad(is_side, column, k + 7u, depth, depth));
    }
    if (is_side) {
      side = sum;
      sum = 0.0;
    }
  }
  if (column < parameters.columns) {
    finish(sum, side, parameters.row_start + row, column, 0u);
  }
}
