// Scores of the sparse mixer (arXiv 2409.12136) when it does not learn: of the expert with the highest logit its share
// in the softmax over the experts that are near it, of the next one its share in the softmax without the first, and 0
// of all others. An expert is near a highest logit h if (h - logit) / max(|logit|, h) <= tolerance.
//
// logits: [rows, stride] f32, of which the first `experts` of a row are read; scores: [rows, experts]. One invocation
// per row.

struct Parameters {
  rows: u32,
  experts: u32,
  stride: u32,
  tolerance: f32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

const NONE: u32 = 0xffffffffu;

// The expert with the highest logit but for one; the first among equals.
fn highest_without(first: u32, without: u32) -> u32 {
  var best = NONE;
  for (var e = 0u; e < parameters.experts; e++) {
    if (e != without && (best == NONE || logits[first + e] > logits[first + best])) {
      best = e;
    }
  }
  return best;
}

// exp of the highest logit over the sum of those near it, but for one expert.
fn share_of(first: u32, best: u32, without: u32) -> f32 {
  let highest = logits[first + best];
  var total = 0.0;
  for (var e = 0u; e < parameters.experts; e++) {
    let logit = logits[first + e];
    // A product in place of the quotient: of two zeros the latter is no number, and such a logit is near.
    let far = (highest - logit) > parameters.tolerance * max(abs(logit), highest);
    if (e != without && !far) {
      total += exp(logit - highest);
    }
  }
  return 1.0 / total;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = (group.y * groups.x + group.x) * 64u + lane;
  if (row >= parameters.rows) {
    return;
  }
  let first = row * parameters.stride;
  let target_first = row * parameters.experts;
  for (var e = 0u; e < parameters.experts; e++) {
    scores[target_first + e] = 0.0;
  }
  let best = highest_without(first, NONE);
  scores[target_first + best] = share_of(first, best, NONE);
  let next = highest_without(first, best);
  if (next != NONE) {
    scores[target_first + next] = share_of(first, next, best);
  }
}
