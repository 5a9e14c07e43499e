// What sampling wants to know of rows of logits, so that little of them is read back: the most likely tokens, and the part of the vocabulary that a draw
// from all of it falls into.
//
// logits: [rows, columns]. A workgroup takes a row. Each lane looks for the largest of its elements; at least KEPT elements are no smaller than the
// KEPT-th largest of these maxima, and hardly more, so a second walk collects all that reach it: the top of the row, complete but in no order.
// The elements of a lane, every LANES-th, are a class of the draw. The second walk adds up what each class weighs; the class that the row's uniform number
// falls into is reported with its borders and its logits: the host makes sure of the class and draws a token of it in f64.
// results, per row: HEADER words (how many are in the top, more than CAPACITY: too many ties to list, DAMAGED: NaN or infinity among the logits; the bits
// of the highest logit, of Σ exp(logit − highest), of Σ exp((logit − highest) / temperature); the class; the bits of the last sum over the classes before
// it, and including it), then CAPACITY times (token, bits of its logit), then the bits of the class's logits.

struct Parameters {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> draws: array<vec2<f32>>; // (1 / temperature, uniform number)
@group(0) @binding(2) var<storage, read_write> results: array<u32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

const HEADER: u32 = 7u;
// Elements that a lane adds up by themselves: sums of short sums are closer to the truth.
const RUN: u32 = 32u;
const DAMAGED: u32 = 0xffffffffu;

var<workgroup> maxima: array<u32, LANES>;
var<workgroup> highest_key: u32;
var<workgroup> bound: u32;
var<workgroup> collected: atomic<u32>;
var<workgroup> damaged: atomic<u32>;
var<workgroup> classes_before: atomic<u32>;
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
  let draw = draws[row];
  let least = bound;
  let class_size = (parameters.columns + LANES - 1u) / LANES;
  let result = row * (HEADER + 2u * CAPACITY + class_size);
  let listed = result + HEADER;
  var sum = vec2<f32>();
  for (var first = lane; first < parameters.columns; first += LANES * RUN) {
    var part = vec2<f32>();
    for (var c = first; c < min(first + LANES * RUN, parameters.columns); c += LANES) {
      let value = logits[start + c];
      part += vec2<f32>(exp(value - highest), exp((value - highest) * draw.x));
      if (key_of(value) >= least) {
        let place = atomicAdd(&collected, 1u);
        if (place < CAPACITY) {
          results[listed + 2u * place] = c;
          results[listed + 2u * place + 1u] = bitcast<u32>(value);
        }
      }
    }
    sum += part;
  }
  // Running sums over the lanes.
  sums[lane] = sum;
  workgroupBarrier();
  for (var reach = 1u; reach < LANES; reach <<= 1u) {
    var earlier = vec2<f32>();
    if (lane >= reach) {
      earlier = sums[lane - reach];
    }
    workgroupBarrier();
    sums[lane] += earlier;
    workgroupBarrier();
  }
  let totals = sums[LANES - 1u];
  if (sums[lane].y <= draw.y * totals.y) {
    atomicAdd(&classes_before, 1u);
  }
  workgroupBarrier();
  let drawn = min(atomicLoad(&classes_before), LANES - 1u);
  if (lane == 0u) {
    results[result] = select(atomicLoad(&collected), DAMAGED, atomicLoad(&damaged) != 0u);
    results[result + 1u] = bitcast<u32>(highest);
    results[result + 2u] = bitcast<u32>(totals.x);
    results[result + 3u] = bitcast<u32>(totals.y);
    results[result + 4u] = drawn;
    results[result + 5u] = bitcast<u32>(select(0.0, sums[max(drawn, 1u) - 1u].y, drawn > 0u));
    results[result + 6u] = bitcast<u32>(sums[drawn].y);
  }
  for (var index = lane; index * LANES + drawn < parameters.columns; index += LANES) {
    results[listed + 2u * CAPACITY + index] = bitcast<u32>(logits[start + index * LANES + drawn]);
  }
}
