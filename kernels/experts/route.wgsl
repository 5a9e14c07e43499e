// The experts that each row goes to: those with the highest scores, and what they count for.
//
// scores: [rows, experts]; ranks: [rows, stride], the numbers by which experts are chosen, of which (CORRECTED) each
// gets correction[offset + probe · probe_stride + expert]; among equal ones the expert with the lower number is chosen.
// chosen, shares: [rows, count]: the experts of a row with the highest first, and their scores.
//
// One invocation per row and expert counts the experts before its own, and thus knows its place. Comparing whole
// numbers, which order floats as they are and NaN with them, gives every place to exactly one expert.

struct Parameters {
  rows: u32,
  experts: u32,
  count: u32,
  stride: u32,
  rows_per_probe: u32,
  correction_offset: u32,
  correction_stride: u32,
}

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> ranks: array<f32>;
@group(0) @binding(2) var<storage, read> correction: array<f32>;
@group(0) @binding(3) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(4) var<storage, read_write> shares: array<f32>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

fn key_of(rank: u32, place: u32) -> u32 {
  var value = ranks[rank];
  if (CORRECTED) {
    value += correction[place];
  }
  let bits = bitcast<u32>(value);
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let experts = parameters.experts;
  let row = index / experts;
  let own = index % experts;
  if (row >= parameters.rows) {
    return;
  }
  let start = row * parameters.stride;
  let correction_start = parameters.correction_offset + row / parameters.rows_per_probe * parameters.correction_stride;
  let key = key_of(start + own, correction_start + own);
  var place = 0u;
  for (var e = 0u; e < experts; e++) {
    let other = key_of(start + e, correction_start + e);
    place += u32(other > key || (other == key && e < own));
  }
  if (place < parameters.count) {
    chosen[row * parameters.count + place] = own;
    shares[row * parameters.count + place] = scores[index];
  }
}
