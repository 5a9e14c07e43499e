// matmul, subgroup-row: matmul/subgroup.wgsl for single rows (token-by-token generation). The 8 lanes load 8 quads of
// the row of x at once and share them by broadcasts. A lane computes one column, for which it loads W once. Sums are
// added in the same order as in matmul/direct.wgsl, so the bits are the same.

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
  let span = span_of(index / column_blocks, 1u);
  let row = span.block;
  let column = (index % column_blocks) * LANES + lane;
  if (row >= span.rows) {
    return;
  }

  // The side product is only a quad or two long, so each lane loads all of it, which compiles faster.
  var side = 0.0;
  let rank_quads = parameters.rank_quads;
  for (var j = 0u; j < rank_quads; j++) {
    side = add_quad(
      side,
      left_quad(span, true, row, j, rank_quads, rank_quads),
      right_quad(span, true, column, j, rank_quads, rank_quads),
    );
  }
  var sum = 0.0;
  let depth = parameters.inner_quads;
  for (var k = 0u; k < depth; k += LANES) {
    // After the last quad both operands are 0.
    let left = left_quad(span, false, row, k + lane, depth, depth);
    sum = add_quad(sum, subgroupBroadcast(left, 0u), right_quad(span, false, column, k, depth, depth));
    sum = add_quad(sum, subgroupBroadcast(left, 1u), right_quad(span, false, column, k + 1u, depth, depth));
    sum = add_quad(sum, subgroupBroadcast(left, 2u), right_quad(span, false, column, k + 2u, depth, depth));
    sum = add_quad(sum, subgroupBroadcast(left, 3u), right_quad(span, false, column, k + 3u, depth, depth));
    sum = add_quad(sum, subgroupBroadcast(left, 4u), right_quad(span, false, column, k + 4u, depth, depth));
    sum = add_quad(sum, subgroupBroadcast(left, 5u), right_quad(span, false, column, k + 5u, depth, depth));
    sum = add_quad(sum, subgroupBroadcast(left, 6u), right_quad(span, false, column, k + 6u, depth, depth));
    sum = add_quad(sum, subgroupBroadcast(left, 7u), right_quad(span, false, column, k + 7u, depth, depth));
  }
  if (column < parameters.columns) {
    finish(sum, side, span.first + row, column, 0u);
  }
}
