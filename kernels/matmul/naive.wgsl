// matmul, naive: one invocation per element of y. It is the reference on the GPU for the other variants.

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let column = index % parameters.columns;
  let span = span_of(index / parameters.columns, 1u);
  if (span.block >= span.rows) {
    return;
  }
  let row = span.first + span.block;
  var base = 0.0;
  for (var k = 0u; k < parameters.inner_quads; k++) {
    base += dot(x[row * parameters.inner_quads + k],
      weight_quad((span.weight_row + column) * parameters.inner_quads + k));
  }
  var side = 0.0;
  for (var j = 0u; j < parameters.rank_quads; j++) {
    side += dot(q[parameters.q_start + row * parameters.rank_quads + j],
      u_quad((span.output_row + column) * parameters.rank_quads + j));
  }
  finish(base, side, row, column, 0u);
}
