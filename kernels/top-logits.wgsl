// The most likely tokens of each row of logits, for sampling: what is read back is a few of them instead of the whole vocabulary.
//
// logits: [rows, columns]. A workgroup takes a row. Each lane looks for the largest of its elements; at least KEPT elements are no smaller than the
// KEPT-th largest of these maxima, and hardly more, so a second walk collects all that reach it: the top of the row, complete but in no order.
// results, RESULT_WORDS per row: how many there are (more than CAPACITY: too many ties to list; DAMAGED: NaN or infinity among the logits), the bits of
// the highest logit, of Σ exp(logit − highest) and of Σ exp((logit − highest) · inverse_temperature); then (token, bits of its logit) each.

struct Parameters {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> inverse_temperatures: array<f32>;
@group(0) @binding(2) var<storage, read_write> results: array<u32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

const LANES: u32 = 256u;
const RESULT_WORDS: u32 = 4u + 2u * CAPACITY;
const DAMAGED: u32 = 0xffffffffu;

var<workgroup> maxima: array<u32, LANES>;
var<workgroup> highest_key: u32;
var<workgroup> bound: u32;
var<workgroup> collected: atomic<u32>;
var<workgroup> damaged: atomic<u32>;
var<workgroup> sums: array<vec2<f32>, LANES>;

// Numbers in the order of their values; both zeros are one.
fn key_of(value: f32) -> u32 {
  let bits = select(bitcast<u32>(value), 0u, value == 0.0);
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

fn value_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= parameters.rows) {
    return;
  }
  let start = row * parameters.columns;
  var largest = 0u;
  var broken = 0u;
  for (var c = lane; c < parameters.columns; c += LANES) {
    let value = logits[start + c];
    let bits = bitcast<u32>(value);
    // Told by the bits, since compilers may assume that there are none; minus infinity is an impossible token, and fine.
    if ((bits & 0x7f800000u) == 0x7f800000u && bits != 0xff800000u) {
      broken = 1u;
    }
    largest = max(largest, key_of(value));
  }
  maxima[lane] = largest;
  if (broken != 0u) {
    atomicOr(&damaged, 1u);
  }
  workgroupBarrier();
  var rank = 0u;
  for (var other = 0u; other < LANES; other++) {
    let key = maxima[other];
    if (key > largest || (key == largest && other < lane)) {
      rank++;
    }
  }
  if (rank == 0u) {
    highest_key = largest;
  }
  if (rank == KEPT - 1u) {
    bound = largest;
  }
  workgroupBarrier();

  let highest = value_of(highest_key);
  let inverse = inverse_temperatures[row];
  let least = bound;
  let result = row * RESULT_WORDS;
  var sum = vec2<f32>();
  for (var c = lane; c < parameters.columns; c += LANES) {
    let value = logits[start + c];
    sum += vec2<f32>(exp(value - highest), exp((value - highest) * inverse));
    if (key_of(value) >= least) {
      let place = atomicAdd(&collected, 1u);
      if (place < CAPACITY) {
        results[result + 4u + 2u * place] = c;
        results[result + 5u + 2u * place] = bitcast<u32>(value);
      }
    }
  }
  sums[lane] = sum;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half >>= 1u) {
    if (lane < half) {
      sums[lane] += sums[lane + half];
    }
    workgroupBarrier();
  }
  if (lane == 0u) {
    results[result] = select(atomicLoad(&collected), DAMAGED, atomicLoad(&damaged) != 0u);
    results[result + 1u] = bitcast<u32>(highest);
    results[result + 2u] = bitcast<u32>(sums[0].x);
    results[result + 3u] = bitcast<u32>(sums[0].y);
  }
}
