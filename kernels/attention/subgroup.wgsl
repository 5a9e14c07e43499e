// Attention, subgroup: for software adapters with subgroups of 8 or 4 (LANES), where the number of loads per lane
// decides the speed. A subgroup takes LANES neighbouring rows of one probe and head, one row per lane, and walks the
// keys that any of them sees. For every 8 quads of a head, each lane loads 8 / LANES quads of the key and as many of
// its value, and the subgroup shares them by broadcasts. In attention/direct.wgsl each lane loads all of them, and its
// query again for each key.
//
// attention/direct.wgsl says what is computed and how it is bound. A row takes its keys and adds up in the same order
// as there, so the bits are the same (for exceptions see leastSharedWidth in src/ops/attention.ts).

enable subgroups;
// All lanes leave a loop together, because subgroupMin gives all of them the same loop condition.
diagnostic(off, subgroup_uniformity);

alias Value = vec4<f32>;

const NO_KEY: u32 = 0xffffffffu;

// The quads of a head, rounded up to a multiple of eight; nothing reads the additional ones.
alias Head = array<vec4<f32>, (HEAD_QUADS + 7u) / 8u * 8u>;

// Shares eight quads with all lanes: each lane's `own` and, behind them, where there are four lanes, its `after`.
fn share(own: vec4<f32>, after: vec4<f32>) -> array<vec4<f32>, 8> {
  return array<vec4<f32>, 8>(
    subgroupBroadcast(own, 0u),
    subgroupBroadcast(own, 1u),
    subgroupBroadcast(own, 2u),
    subgroupBroadcast(own, 3u),
    subgroupBroadcast(after, 4u % LANES),
    subgroupBroadcast(after, 5u % LANES),
    subgroupBroadcast(after, 6u % LANES),
    subgroupBroadcast(after, 7u % LANES),
  );
}

// Adds the products of eight quads from `first` on of the query of this lane and of a key, which begins at `start`.
fn add_products(sum: vec4<f32>, query: ptr<function, Head>, start: u32, first: u32, lane: u32) -> vec4<f32> {
  let own = k[start + min(first + lane, HEAD_QUADS - 1u)];
  var after = own;
  if (LANES < 8u) {
    after = k[start + min(first + LANES + lane, HEAD_QUADS - 1u)];
  }
  let keys = share(own, after);
  var products = sum;
  for (var i = 0u; i < 8u; i++) {
    if (first + i < HEAD_QUADS) {
      products = fma((*query)[first + i], keys[i], products);
    }
  }
  return products;
}

// What a key changes in the sums of the values of a lane's row, if the row sees it.
struct Change {
  seen: bool,
  weight: f32,
  correction: f32,
}

// Adds eight quads from `first` on of a value, which begins at `start`.
fn add_values(sum: ptr<function, Head>, change: Change, start: u32, first: u32, lane: u32) {
  let own = v[start + min(first + lane, HEAD_QUADS - 1u)];
  var after = own;
  if (LANES < 8u) {
    after = v[start + min(first + LANES + lane, HEAD_QUADS - 1u)];
  }
  let values = share(own, after);
  for (var i = 0u; i < 8u; i++) {
    if (first + i < HEAD_QUADS) {
      let d = first + i;
      let next = fma(vec4<f32>(change.weight), values[i], (*sum)[d] * change.correction);
      (*sum)[d] = select((*sum)[d], next, change.seen);
    }
  }
}

// Where the loops over the quads of a head are cut in two. Compilers unroll only loops of few turns, here of four, and
// an index that is no constant costs a load for each lane. Heads wider than 256 would take too long to compile.
const CUT: u32 = select(0u, min(32u, HEAD_QUADS), HEAD_QUADS <= 64u);

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  let blocks = (parameters.rows_per_probe + LANES - 1u) / LANES;
  let head = index % parameters.heads;
  let probe = index / parameters.heads / blocks;
  if (probe * parameters.rows_per_probe >= parameters.rows) {
    return; // a surplus workgroup
  }
  let shift = probe * parameters.key_stride;
  let key_head = head / (parameters.heads / parameters.key_heads);
  // The row of this lane. A lane after the last row sees no key, but loads for the others.
  let row = (index / parameters.heads % blocks) * LANES + lane;
  let here = row < parameters.rows_per_probe;
  let row_inside = min(row, parameters.rows_per_probe - 1u);
  let row_of_all = probe * parameters.rows_per_probe + row_inside;
  let range = select(vec4<u32>(), ranges[row_of_all % parameters.input_rows], here);
  let position = (row_of_all * parameters.heads + head) * HEAD_QUADS;

  // Indices that are not constants keep query and sums in memory, because there are too few registers for them.
  var query: Head;
  for (var d = 0u; d < parameters.head_quads; d++) {
    query[d] = q[position + d];
  }
  var sum: Head;
  var highest = sink_of(probe, head);
  var total = SINK_WEIGHT;
  // A bound that is no constant keeps the loop a loop, which compiles in two thirds of the time.
  let sides = 2u + (parameters.rows >> 31u);
  for (var side = 0u; side < sides; side++) {
    var next = select(range.z, range.x, side == 0u);
    let end = select(range.w, range.y, side == 0u);
    loop {
      let key = subgroupMin(select(NO_KEY, next, next < end));
      if (key == NO_KEY) {
        break;
      }
      let seen = next < end && next == key;
      next += u32(seen);
      let start = ((shift + key) * parameters.key_heads + key_head) * HEAD_QUADS;
      var products = vec4<f32>();
      for (var first = 0u; first < CUT; first += 8u) {
        products = add_products(products, &query, start, first, lane);
      }
      for (var first = CUT; first < HEAD_QUADS; first += 8u) {
        products = add_products(products, &query, start, first, lane);
      }
      let plain = soft_cap(parameters.scale * (products.x + products.y + products.z + products.w));
      let score = with_alibi(plain, head, range, order_of(range, side, key));
      let is_highest = seen && score > highest;
      let correction = select(1.0, exp(highest - score), is_highest);
      highest = select(highest, score, is_highest);
      let weight = exp(score - highest);
      total = select(total, total * correction + weight, seen);
      let change = Change(seen, weight, correction);
      for (var first = 0u; first < CUT; first += 8u) {
        add_values(&sum, change, start, first, lane);
      }
      for (var first = CUT; first < HEAD_QUADS; first += 8u) {
        add_values(&sum, change, start, first, lane);
      }
    }
  }
  if (!here) {
    return;
  }
  for (var d = 0u; d < parameters.head_quads; d++) {
    y[position + d] = sum[d] / max(total, 1.0e-30); // total is at least 1, except for a row without keys
  }
}
