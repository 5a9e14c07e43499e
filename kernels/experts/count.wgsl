// Rows grouped by expert, first step: how many rows of each chunk go to each expert.
//
// chosen: [rows, count], the experts of each row. counts: [experts, chunks]. One invocation per chunk and expert;
// neighbours read the same chunk.

@group(0) @binding(0) var<storage, read> chosen: array<u32>;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let chunk = index / parameters.experts;
  let expert = index % parameters.experts;
  if (chunk >= parameters.chunks) {
    return;
  }
  let pairs = pairs_of(chunk);
  var sum = 0u;
  for (var pair = pairs.x; pair < pairs.y; pair++) {
    sum += u32(chosen[pair] == expert);
  }
  counts[expert * parameters.chunks + chunk] = sum;
}
