// Finds what sampling needs in rows of logits, so that little of them is read back: the most likely tokens, and the
// part of the vocabulary that contains the token of a draw from the whole vocabulary.
//
// logits: [rows, columns]. One workgroup per row. Each lane finds the largest of its elements. At least KEPT elements,
// and hardly more, are no smaller than the KEPT-th largest of these maxima. So a second walk collects all elements that
// reach it: the top of the row, complete but unordered.
// The elements of a lane (every LANES-th) form a class of the draw. The second walk sums the weights of each class. The
// kernel reports the class that contains the row's uniform number, with its borders and its logits; the host verifies
// the class and draws a token from it in f64.
// results, per row, has three parts. The first is HEADER words: the number of tokens in the top (more than CAPACITY:
// too many ties to list; DAMAGED: NaN or infinity among the logits); the bits of the highest logit, of Σ exp(logit −
// highest) and of Σ exp((logit − highest) / temperature); the class; the bits of the running sum over the classes
// before it, and including it. The second is CAPACITY times (token, bits of its logit). The third is the bits of the
// class's logits.

struct Parameters {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> draws: array<vec2<f32>>; // (1 / temperature, uniform number)
@group(0) @binding(2) var<storage, read_write> results: array<u32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

const HEADER: u32 = 7u;
// Number of elements that a lane sums separately: a sum of short sums has a smaller rounding error.
const RUN: u32 = 32u;
const DAMAGED: u32 = 0xffffffffu;

var<workgroup> maxima: array<u32, LANES>;
var<workgroup> highest_key: u32;
var<workgroup> bound: u32;
var<workgroup> collected: atomic<u32>;
var<workgroup> damaged: atomic<u32>;
var<workgroup> classes_before: atomic<u32>;
var<workgroup> sums: array<vec2<f32>, LANES>;

// Maps numbers to integers in the same order; both zeros map to the same integer.
fn key_of(value: f32) -> u32 {
  let bits = select(bitcast<u32>(value), 0u, value == 0.0);
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

fn value_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u));
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
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
    // The test uses bits, because compilers may assume that there are no such values. Minus infinity is valid: an
    // impossible token.
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
  // A bound that is no constant keeps the loop a loop: unrolled, the kernel takes twice as long to compile on software
  // adapters.
  let lanes = LANES + (parameters.rows >> 31u);
  for (var reach = 1u; reach < lanes; reach <<= 1u) {
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
