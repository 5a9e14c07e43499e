// Attention, workgroup: a variant for GPUs. A workgroup takes one (row, head) and walks its keys 64 at a time. Each
// lane computes the score of one key, and the 64 scores become weights of an online softmax. Then the lanes take the
// elements of the head and sum the values.
//
// attention/direct.wgsl says what is computed and how it is bound. Compared with that variant, many lanes read the keys
// together, and the sums of a wide head are spread over the lanes instead of filling the registers of one lane.
//
// SLICED: a few rows over many keys would leave a GPU idle, so `slices` workgroups share the keys of each (row, head),
// in runs of whole blocks of 64. Each writes its unscaled sums, followed by the highest score and the total weight. y
// is then scratch memory [rows · heads, slices, 4·HEAD_QUADS + 2], and attention/merge.wgsl combines the slices.

alias Value = f32;

const LANES: u32 = 64u;
const WIDTH: u32 = 4u * HEAD_QUADS;
// Elements of the head that a lane sums.
const ELEMENTS: u32 = (WIDTH + LANES - 1u) / LANES;

var<workgroup> query: array<vec4<f32>, HEAD_QUADS>;
var<workgroup> shares: array<f32, LANES>;
var<workgroup> key_rows: array<u32, LANES>;
var<workgroup> reduced: array<f32, LANES>;
var<workgroup> key_count: u32;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let last = parameters.rows * parameters.heads - 1u;
  let item = group.y * groups.x + group.x;
  let index = min(item / parameters.slices, last); // surplus workgroups repeat the last one
  let slice = item % parameters.slices;
  let row = index / parameters.heads;
  let head = index % parameters.heads;
  let range = ranges[row % parameters.input_rows];
  let shift = (row / parameters.rows_per_probe) * parameters.key_stride;
  let key_head = head / (parameters.heads / parameters.key_heads);
  for (var d = lane; d < HEAD_QUADS; d += LANES) {
    query[d] = parameters.scale * q[index * HEAD_QUADS + d];
  }
  workgroupBarrier();

  let first_count = range.y - range.x;
  let total_keys = first_count + range.w - range.z;
  if (lane == 0u) {
    key_count = total_keys;
  }
  // Barriers must be in uniform control flow, and compilers do not treat a number read from storage as uniform.
  let count = workgroupUniformLoad(&key_count);

  var sums: array<f32, ELEMENTS>;
  // The sink counts once, in the first slice.
  var highest = select(-3.0e38, sink_of(row / parameters.rows_per_probe, head), slice == 0u);
  var total = select(0.0, SINK_WEIGHT, slice == 0u);
  // Each slice takes whole blocks.
  let slice_keys = (count + LANES * parameters.slices - 1u) / (LANES * parameters.slices) * LANES;
  let slice_end = min(count, (slice + 1u) * slice_keys);
  for (var start = slice * slice_keys; start < slice_end; start += LANES) {
    let j = start + lane;
    var score = -3.0e38;
    if (j < slice_end) {
      let key_row = shift + select(range.z + j - first_count, range.x + j, j < first_count);
      let key = (key_row * parameters.key_heads + key_head) * HEAD_QUADS;
      var products = vec4<f32>();
      for (var d = 0u; d < HEAD_QUADS; d++) {
        products = fma(query[d], k[key + d], products);
      }
      score = with_alibi(soft_cap(products.x + products.y + products.z + products.w), head, range, j);
      key_rows[lane] = key_row;
    }
    reduced[lane] = score;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half >>= 1u) {
      if (lane < half) {
        reduced[lane] = max(reduced[lane], reduced[lane + half]);
      }
      workgroupBarrier();
    }
    let next_highest = max(highest, reduced[0]);
    let correction = exp(highest - next_highest);
    highest = next_highest;
    shares[lane] = select(0.0, exp(score - highest), j < slice_end);
    workgroupBarrier();

    total *= correction;
    let here = min(LANES, slice_end - start);
    for (var e = 0u; e < ELEMENTS; e++) {
      sums[e] *= correction;
    }
    for (var i = 0u; i < here; i++) {
      let share = shares[i];
      total += share;
      let value = (key_rows[i] * parameters.key_heads + key_head) * WIDTH;
      for (var e = 0u; e < ELEMENTS; e++) {
        let element = lane + e * LANES;
        if (element < WIDTH) {
          sums[e] = fma(share, v[value + element], sums[e]);
        }
      }
    }
    workgroupBarrier();
  }
  let place = select(index * WIDTH, (index * parameters.slices + slice) * (WIDTH + 2u), SLICED);
  for (var e = 0u; e < ELEMENTS; e++) {
    let element = lane + e * LANES;
    if (element < WIDTH) {
      // The total is at least 1, except for a row without keys, which yields zeros.
      y[place + element] = select(sums[e] / max(total, 1.0e-30), sums[e], SLICED);
    }
  }
  if (SLICED && lane == 0u) {
    y[place + WIDTH] = highest;
    y[place + WIDTH + 1u] = total;
  }
}
