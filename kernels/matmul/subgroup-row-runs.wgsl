// The base product of matmul/subgroup-row.wgsl where W is stored in blocks: what eight quads of a row share is loaded
// once.

fn base_sum(span: Span, row: u32, column: u32, lane: u32) -> f32 {
  var sum = 0.0;
  let depth = parameters.inner_quads;
  // Rows are whole blocks, so runs do not end between them.
  let runs = depth / 8u;
  let start = (span.weight_row + min(column, parameters.columns - 1u)) * runs;
  for (var k = 0u; k < runs; k++) {
    let left = left_quad(span, false, row, 8u * k + lane, depth, depth);
    // The other half of the run, where the subgroup does not load all of it at once.
    var after = left;
    if (LANES < 8u) {
      after = left_quad(span, false, row, 8u * k + LANES + lane, depth, depth);
    }
    let run = run_of(start + k);
    sum = add_quad(sum, subgroupBroadcast(left, 0u), run_quad(run, 0u));
    sum = add_quad(sum, subgroupBroadcast(left, 1u), run_quad(run, 1u));
    sum = add_quad(sum, subgroupBroadcast(left, 2u), run_quad(run, 2u));
    sum = add_quad(sum, subgroupBroadcast(left, 3u), run_quad(run, 3u));
    sum = add_quad(sum, subgroupBroadcast(after, 4u % LANES), run_quad(run, 4u));
    sum = add_quad(sum, subgroupBroadcast(after, 5u % LANES), run_quad(run, 5u));
    sum = add_quad(sum, subgroupBroadcast(after, 6u % LANES), run_quad(run, 6u));
    sum = add_quad(sum, subgroupBroadcast(after, 7u % LANES), run_quad(run, 7u));
  }
  return sum;
}
