// matmul, subgroup-row: matmul/subgroup.wgsl for single rows (token-by-token generation). The lanes (LANES) load as
// many quads of the row of x at once and share them by broadcasts. A lane computes one column, for which it loads W
// once. Sums are added in the same order as in matmul/direct.wgsl, so the bits are the same.

enable subgroups;

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
  let sum = base_sum(span, row, column, lane);
  if (column < parameters.columns) {
    finish(sum, side, span.first + row, column, 0u);
  }
}
