// matmul, naive: one invocation per element of y. It is the reference on the GPU for the other variants.

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let column = index % parameters.columns;
  if (index / parameters.columns >= parameters.rows) {
    return;
  }
  let row = parameters.row_start + index / parameters.columns;
  var base = 0.0;
  for (var k = 0u; k < parameters.inner_quads; k++) {
    base += dot(x[row * parameters.inner_quads + k], weight_quad((parameters.weight_row + column) * parameters.inner_quads + k));
  }
  var side = 0.0;
  for (var j = 0u; j < parameters.rank_quads; j++) {
    side += dot(q[parameters.q_start + row * parameters.rank_quads + j], u_quad((parameters.output_row + column) * parameters.rank_quads + j));
  }
  finish(base, side, row, column, 0u);
}
