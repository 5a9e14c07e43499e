// Rows grouped by expert, third step: the order of the pairs, and the place of each in it.
//
// A pair p = row · count + i is a row and the i-th of its experts. before: [experts, chunks], the number of pairs in
// front of those of a chunk and expert (experts/sum-up.wgsl). order[place] = pair, places[pair] = place; pairs of an
// expert keep the order of their rows.

@group(0) @binding(0) var<storage, read> chosen: array<u32>;
@group(0) @binding(1) var<storage, read> before: array<u32>;
@group(0) @binding(2) var<storage, read_write> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> places: array<u32>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

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
  var place = before[expert * parameters.chunks + chunk];
  for (var pair = pairs.x; pair < pairs.y; pair++) {
    if (chosen[pair] == expert) {
      order[place] = pair;
      places[pair] = place;
      place++;
    }
  }
}
