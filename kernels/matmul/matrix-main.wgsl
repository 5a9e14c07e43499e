// `main` of matmul/matrix-units.wgsl for adapters whose subgroups always have SUBGROUP invocations. A workgroup is four
// subgroups.

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  multiply_tile(group, group.y * groups.x + group.x, lane, subgroup);
}
