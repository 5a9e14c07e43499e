// zo/rotate.wgsl that reads t as it is: one invocation per column of each block.

fn t_at(place: u32) -> vec4<f32> {
  return t[place];
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let width = quad_ends().z;
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index / (4u * width) >= parameters.blocks) {
    return;
  }
  let block = block_at(index / (4u * width));
  rotate(block, index % (4u * width), rows_of(block) * width);
}
