// Rows grouped by expert, first step: how many rows of each chunk go to each expert.
//
// chosen: [rows, count], the experts of each row. A chunk is up to CHUNK rows of one probe. counts: [experts,
// chunks]. One invocation per chunk and expert; neighbours read the same chunk.

struct Parameters {
  experts: u32,
  count: u32,
  rows_per_probe: u32,
  chunks_per_probe: u32,
  chunks: u32,
}

@group(0) @binding(0) var<storage, read> chosen: array<u32>;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let chunk = index / parameters.experts;
  let expert = index % parameters.experts;
  if (chunk >= parameters.chunks) {
    return;
  }
  let first = chunk % parameters.chunks_per_probe * CHUNK;
  let probe_start = chunk / parameters.chunks_per_probe * parameters.rows_per_probe;
  let pair_start = (probe_start + first) * parameters.count;
  let pair_end = (probe_start + min(first + CHUNK, parameters.rows_per_probe)) * parameters.count;
  var sum = 0u;
  for (var pair = pair_start; pair < pair_end; pair++) {
    sum += u32(chosen[pair] == expert);
  }
  counts[expert * parameters.chunks + chunk] = sum;
}
