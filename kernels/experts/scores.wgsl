// Scores of all experts: the softmax of each row of the router's logits, or (SIGMOID) the sigmoid of each.
//
// logits: [rows, stride] f32, of which the first `experts` of a row are read; scores: [rows, experts]. One invocation
// per row.

struct Parameters {
  rows: u32,
  experts: u32,
  stride: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

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
  if (SIGMOID) {
    for (var e = 0u; e < parameters.experts; e++) {
      scores[target_first + e] = 1.0 / (1.0 + exp(-logits[first + e]));
    }
    return;
  }
  var highest = -3.0e38;
  for (var e = 0u; e < parameters.experts; e++) {
    highest = max(highest, logits[first + e]);
  }
  var total = 0.0;
  for (var e = 0u; e < parameters.experts; e++) {
    let share = exp(logits[first + e] - highest);
    scores[target_first + e] = share;
    total += share;
  }
  for (var e = 0u; e < parameters.experts; e++) {
    scores[target_first + e] /= total;
  }
}
