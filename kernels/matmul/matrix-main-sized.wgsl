// `main` of matmul/matrix-units.wgsl for adapters with subgroups of several sizes: it requests subgroups of SUBGROUP
// invocations.

enable subgroup_size_control;

@compute @workgroup_size(LANES) @subgroup_size(SUBGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  multiply_tile(group, group.y * groups.x + group.x, lane, subgroup);
}
