// matmul, reduce: the second half of a sliced product (see SLICED in matmul/interface.wgsl). It adds the slices' sums
// of one element, always in the same order, and does the epilogue. x is the scratch memory [slices, rows, columns];
// inner_quads is the number of slices.

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let count = parameters.rows * parameters.columns;
  if (index >= count) {
    return;
  }
  var sum = 0.0;
  for (var slice = 0u; slice < parameters.inner_quads; slice++) {
    let position = slice * count + index;
    sum += x[position / 4u][position % 4u];
  }
  finish(0.0, sum, parameters.row_start + index / parameters.columns, index % parameters.columns, 0u);
}
