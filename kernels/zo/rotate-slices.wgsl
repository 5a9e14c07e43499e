// zo/rotate.wgsl that reads t as the slices of a product [slices, rows, Σ padded ranks] (SLICED in
// matmul/interface.wgsl). One workgroup per block adds the slices in their order and keeps its rows of t in workgroup
// memory.

// Room for three weights of rank 256, or for one of that rank with a bank of as many columns (mostWidth in
// src/zo/subspace.ts).
const MOST_QUADS: u32 = 192u;

var<workgroup> rows: array<vec4<f32>, 4u * MOST_QUADS>;

fn t_at(place: u32) -> vec4<f32> {
  return rows[place];
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let width = quad_ends().z;
  let index = group.y * groups.x + group.x;
  let block = block_at(min(index, parameters.blocks - 1u));
  let block_rows = rows_of(block);
  for (var item = lane; item < 4u * width; item += 64u) {
    var sum = vec4<f32>(0.0);
    for (var slice = 0u; slice < parameters.slices; slice++) {
      sum += t[(slice * parameters.rows + block_rows[item / width]) * width + item % width];
    }
    rows[item] = sum;
  }
  workgroupBarrier();
  if (index >= parameters.blocks) {
    return;
  }
  for (var column = lane; column < 4u * width; column += 64u) {
    rotate(block, column, vec4<u32>(0u, 1u, 2u, 3u) * width);
  }
}
