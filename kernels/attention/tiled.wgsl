// Attention, tiled: the variant for GPUs and many rows (prompts, training batches). A workgroup takes ROWS neighbouring
// rows of one probe and head and walks the keys that any of them sees, KEYS at a time. A tile of K is loaded into
// workgroup memory and serves all rows; then the matching tile of V replaces it. Each row has its own online softmax
// and leaves out the keys that it does not see.
//
// attention/direct.wgsl says what is computed and how it is bound. The two ranges of keys are walked one after the
// other. Each tile begins at the next key that any row sees, so gaps between the ranges of the rows (other segments,
// other sequences in a cache) cost nothing.

alias Value = vec4<f32>;

const LANES: u32 = 128u;
// The number of lanes that share a row, and the number of the head's quads that each of them sums.
const PARTS: u32 = LANES / ROWS;
const QUADS: u32 = (HEAD_QUADS + PARTS - 1u) / PARTS;
// K lies transposed, [quad][key], and is padded against bank conflicts.
const KEY_STRIDE: u32 = KEYS + 1u;
// Elements of a tile per invocation, rounded up.
const TILE_QUADS: u32 = (KEYS * HEAD_QUADS + LANES - 1u) / LANES;
const NO_KEY: u32 = 0xffffffffu;

var<workgroup> query: array<vec4<f32>, ROWS * HEAD_QUADS>;
var<workgroup> tile: array<vec4<f32>, HEAD_QUADS * KEY_STRIDE>;
var<workgroup> scores: array<f32, ROWS * KEYS>;
var<workgroup> seen: array<vec4<u32>, ROWS>;
// The first key of the next tile, and the end of the rows' keys.
var<workgroup> next: vec2<u32>;

fn range_of(row: u32, side: u32) -> vec2<u32> {
  let range = seen[row];
  return select(range.zw, range.xy, side == 0u);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  let blocks = (parameters.rows_per_probe + ROWS - 1u) / ROWS;
  let head = index % parameters.heads;
  let block = (index / parameters.heads) % blocks;
  let probe = index / parameters.heads / blocks;
  let first_row = block * ROWS; // within the probe
  if (probe * parameters.rows_per_probe >= parameters.rows) {
    return; // a surplus workgroup
  }
  let shift = probe * parameters.key_stride;
  let key_head = head / (parameters.heads / parameters.key_heads);
  // The row of this lane, and its part of the head.
  let row = lane / PARTS;
  let part = lane % PARTS;
  let here = first_row + row < parameters.rows_per_probe;
  let row_of_all = probe * parameters.rows_per_probe + first_row + row;
  let position = (row_of_all * parameters.heads + head) * HEAD_QUADS;

  if (part == 0u) {
    var range = vec4<u32>();
    if (here) {
      range = ranges[row_of_all % parameters.input_rows];
    }
    seen[row] = range;
  }
  for (var d = part; d < HEAD_QUADS; d += PARTS) {
    var value = vec4<f32>();
    if (here) {
      value = parameters.scale * q[position + d];
    }
    query[row * HEAD_QUADS + d] = value;
  }
  workgroupBarrier();

  var sums: array<vec4<f32>, QUADS>;
  var highest = sink_of(probe, head);
  var total = SINK_WEIGHT;
  for (var side = 0u; side < 2u; side++) {
    var next_key = 0u;
    loop {
      if (lane == 0u) {
        var first = NO_KEY;
        var end = 0u;
        for (var r = 0u; r < ROWS; r++) {
          let range = range_of(r, side);
          let candidate = max(range.x, next_key);
          if (candidate < range.y) {
            first = min(first, candidate);
            end = max(end, range.y);
          }
        }
        next = vec2<u32>(first, end);
      }
      let bounds = workgroupUniformLoad(&next);
      let start = bounds.x;
      if (start == NO_KEY) {
        break;
      }
      let count = min(KEYS, bounds.y - start);
      next_key = start + count;

      // All loads, also those of the values, come before the first use, so that they are in flight together.
      var keys: array<vec4<f32>, TILE_QUADS>;
      var values: array<vec4<f32>, TILE_QUADS>;
      for (var i = 0u; i < TILE_QUADS; i++) {
        let item = lane + i * LANES;
        let key = start + min(item / HEAD_QUADS, count - 1u);
        let place = ((shift + key) * parameters.key_heads + key_head) * HEAD_QUADS + item % HEAD_QUADS;
        keys[i] = k[place];
        values[i] = v[place];
      }
      for (var i = 0u; i < TILE_QUADS; i++) {
        let item = lane + i * LANES;
        if (item < KEYS * HEAD_QUADS) {
          tile[(item % HEAD_QUADS) * KEY_STRIDE + item / HEAD_QUADS] = keys[i];
        }
      }
      workgroupBarrier();
      for (var item = lane; item < ROWS * KEYS; item += LANES) {
        let r = item / KEYS;
        let key = item % KEYS;
        let range = range_of(r, side);
        var score = -3.0e38;
        if (key < count && start + key >= range.x && start + key < range.y) {
          var products = vec4<f32>();
          for (var d = 0u; d < parameters.head_quads; d++) {
            products = fma(query[r * HEAD_QUADS + d], tile[d * KEY_STRIDE + key], products);
          }
          let plain = soft_cap(products.x + products.y + products.z + products.w);
          score = with_alibi(plain, head, seen[r], order_of(seen[r], side, start + key));
        }
        scores[item] = score;
      }
      workgroupBarrier();

      for (var i = 0u; i < TILE_QUADS; i++) {
        let item = lane + i * LANES;
        if (item < KEYS * HEAD_QUADS) {
          tile[item] = values[i];
        }
      }
      var next_highest = highest;
      for (var key = 0u; key < count; key++) {
        next_highest = max(next_highest, scores[row * KEYS + key]);
      }
      let correction = exp(highest - next_highest);
      highest = next_highest;
      workgroupBarrier();
      // The lanes of a row together turn its scores into softmax weights.
      let range = range_of(row, side);
      for (var key = part; key < count; key += PARTS) {
        let visible = start + key >= range.x && start + key < range.y;
        scores[row * KEYS + key] = select(0.0, exp(scores[row * KEYS + key] - highest), visible);
      }
      workgroupBarrier();
      total *= correction;
      for (var i = 0u; i < QUADS; i++) {
        sums[i] *= correction;
      }
      for (var key = 0u; key < count; key++) {
        let share = scores[row * KEYS + key];
        total += share;
        for (var i = 0u; i < QUADS; i++) {
          let d = part + i * PARTS;
          if (d < HEAD_QUADS) {
            sums[i] = fma(vec4<f32>(share), tile[key * HEAD_QUADS + d], sums[i]);
          }
        }
      }
      // The uniform load of the next iteration is a barrier as well: nothing is overwritten before all lanes are done.
    }
  }
  if (here) {
    for (var i = 0u; i < QUADS; i++) {
      let d = part + i * PARTS;
      if (d < HEAD_QUADS) {
        y[position + d] = sums[i] / max(total, 1.0e-30); // total is at least 1, except for a row without keys
      }
    }
  }
}
