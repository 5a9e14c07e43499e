// Log-softmax at chosen tokens, without storing all logits: adds one chunk of the vocabulary to running results.
//
// logits: [rows, columns] for the tokens column_start … column_start + columns − 1. running[row] = (maximum, Σ
// exp(logit − maximum)) of the chunks so far; FIRST initialises it. targets[t mod target_count] = (row within its
// probe, token). picked[t] receives the logit of target t when its chunk is processed; t counts over all probes. One
// workgroup per row. The caller computes log p = picked − maximum − log(sum).

struct Parameters {
  rows: u32,
  columns: u32,
  column_start: u32,
  rows_per_probe: u32,
  target_count: u32,
  first: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> running: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> picked: array<f32>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

var<workgroup> partial: array<vec2<f32>, 64>;

// Combines two (maximum, sum) pairs.
fn join(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
  let highest = max(a.x, b.x);
  return vec2<f32>(highest, a.y * exp(a.x - highest) + b.y * exp(b.x - highest));
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  let inside = row < parameters.rows;
  let start = select(0u, row * parameters.columns, inside);
  var mine = vec2<f32>(-3.0e38, 0.0);
  for (var c = lane; c < parameters.columns; c += 64u) {
    mine = join(mine, vec2<f32>(logits[start + c], 1.0));
  }
  partial[lane] = mine;
  workgroupBarrier();
  // A beginning that is no constant keeps the loop a loop, which compiles in two thirds of the time on software
  // adapters.
  for (var half = 32u + (parameters.rows >> 31u); half > 0u; half >>= 1u) {
    if (lane < half) {
      partial[lane] = join(partial[lane], partial[lane + half]);
    }
    workgroupBarrier();
  }
  if (!inside) {
    return;
  }
  if (lane == 0u) {
    var result = partial[0];
    if (parameters.first == 0u) {
      result = join(running[row], result);
    }
    running[row] = result;
  }
  let probe = row / parameters.rows_per_probe;
  let local_row = row % parameters.rows_per_probe;
  for (var t = lane; t < parameters.target_count; t += 64u) {
    let wanted = targets[t];
    let column = wanted.y - parameters.column_start;
    if (wanted.x == local_row && wanted.y >= parameters.column_start && column < parameters.columns) {
      picked[probe * parameters.target_count + t] = logits[start + column];
    }
  }
}
