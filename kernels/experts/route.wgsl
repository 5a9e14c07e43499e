// The experts that each row goes to: those with the highest scores, and what they count for.
//
// logits: [rows, stride] f32, of which the first `experts` of a row are read. scores = softmax or (SIGMOID) sigmoid of
// a row's logits. Experts are chosen by their scores, plus (CORRECTED) correction[offset + probe · probe_stride +
// expert]; among equal ones the one with the lower number is. chosen, shares: [rows, count]: the experts of a row with
// the highest first, and their scores.
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

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> correction: array<f32>;
@group(0) @binding(2) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(3) var<storage, read_write> shares: array<f32>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

fn key_of(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn score_of(logit: f32, highest: f32, total: f32) -> f32 {
  if (SIGMOID) {
    return 1.0 / (1.0 + exp(-logit));
  }
  return exp(logit - highest) / total;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let experts = parameters.experts;
  let row = index / experts;
  let own = index % experts;
  if (row >= parameters.rows) {
    return;
  }
  let start = row * parameters.stride;
  let correction_start = parameters.correction_offset + row / parameters.rows_per_probe * parameters.correction_stride;
  var highest = -3.0e38;
  var total = 1.0;
  if (!SIGMOID) {
    for (var e = 0u; e < experts; e++) {
      highest = max(highest, logits[start + e]);
    }
    total = 0.0;
    for (var e = 0u; e < experts; e++) {
      total += exp(logits[start + e] - highest);
    }
  }
  let share = score_of(logits[start + own], highest, total);
  var place = 0u;
  if (CORRECTED) {
    let key = key_of(share + correction[correction_start + own]);
    for (var e = 0u; e < experts; e++) {
      let other = key_of(score_of(logits[start + e], highest, total) + correction[correction_start + e]);
      place += u32(other > key || (other == key && e < own));
    }
  } else {
    let key = key_of(logits[start + own]);
    for (var e = 0u; e < experts; e++) {
      let other = key_of(logits[start + e]);
      place += u32(other > key || (other == key && e < own));
    }
  }
  if (place < parameters.count) {
    chosen[row * parameters.count + place] = own;
    shares[row * parameters.count + place] = share;
  }
}
