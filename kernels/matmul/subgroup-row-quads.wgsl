// The base product of matmul/subgroup-row.wgsl where every element of W is stored by itself.

fn base_sum(span: Span, row: u32, column: u32, lane: u32) -> f32 {
  var sum = 0.0;
  let depth = parameters.inner_quads;
  for (var k = 0u; k < depth; k += LANES) {
    // After the last quad both operands are 0.
    let left = left_quad(span, false, row, k + lane, depth, depth);
    sum = add_quad(sum, subgroupBroadcast(left, 0u), right_quad(span, false, column, k, depth, depth));
    sum = add_quad(sum, subgroupBroadcast(left, 1u), right_quad(span, false, column, k + 1u, depth, depth));
    sum = add_quad(sum, subgroupBroadcast(left, 2u), right_quad(span, false, column, k + 2u, depth, depth));
    sum = add_quad(sum, subgroupBroadcast(left, 3u), right_quad(span, false, column, k + 3u, depth, depth));
    if (LANES > 4u) {
      sum = add_quad(sum, subgroupBroadcast(left, 4u), right_quad(span, false, column, k + 4u, depth, depth));
      sum = add_quad(sum, subgroupBroadcast(left, 5u), right_quad(span, false, column, k + 5u, depth, depth));
      sum = add_quad(sum, subgroupBroadcast(left, 6u), right_quad(span, false, column, k + 6u, depth, depth));
      sum = add_quad(sum, subgroupBroadcast(left, 7u), right_quad(span, false, column, k + 7u, depth, depth));
    }
  }
  return sum;
}
