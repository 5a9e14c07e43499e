// The gated delta rule, wide: as delta-rule/shared.wgsl, but a subgroup has sixteen columns, for which each element of
// a key or a query is loaded once. No state is continued or kept: so many loads and stores compile for too long.
//
// delta-rule/scan.wgsl says what is computed and how it is bound. The sums are those of delta-rule/shared.wgsl in the
// same order, and so are the bits.

enable subgroups;
// All lanes of a workgroup, which is a subgroup, have the same run and so the same bounds of loops.
diagnostic(off, subgroup_uniformity);

alias Columns = f32;
alias Coefficients = f32;

const LANES: u32 = 8u;
const ITEM_COLUMNS: u32 = 16u;
// Rows of the matrix that a lane has; those behind the last one of all stay zeros. The loops over them are unrolled, so
// that the matrix needs no memory.
const ROWS: u32 = (KEY_WIDTH + LANES - 1u) / LANES;

// Four columns of a lane's rows. Two of them are worked on at a time: more sums than theirs would not stay in
// registers.
alias Quad = array<vec4<f32>, ROWS>;

// Lane n's result is the sum over all lanes of column n of eight, in a fixed order.
fn total(low: vec4<f32>, high: vec4<f32>, lane: u32) -> f32 {
  let one = (lane & 1u) != 0u;
  let two = (lane & 2u) != 0u;
  let four = (lane & 4u) != 0u;
  let even = vec4<f32>(low.xz, high.xz);
  let odd = vec4<f32>(low.yw, high.yw);
  let pairs = select(even, odd, one) + subgroupShuffleXor(select(odd, even, one), 1u);
  let quads = select(pairs.xz, pairs.yw, two) + subgroupShuffleXor(select(pairs.yw, pairs.xz, two), 2u);
  return select(quads.x, quads.y, four) + subgroupShuffleXor(select(quads.y, quads.x, four), 4u);
}

// Walks over a token with eight columns, of which lane n has value and result of column n.
fn walk(
  low: ptr<function, Quad>,
  high: ptr<function, Quad>,
  key: ptr<function, array<f32, ROWS>>,
  query: ptr<function, array<f32, ROWS>>,
  numbers: vec4<f32>,
  value: f32,
  lane: u32,
) -> f32 {
  var known_low = vec4<f32>();
  var known_high = vec4<f32>();
  for (var i = 0u; i < ROWS; i++) {
    known_low = fma(vec4<f32>((*key)[i]), (*low)[i], known_low);
    known_high = fma(vec4<f32>((*key)[i]), (*high)[i], known_high);
  }
  let known = total(known_low, known_high, lane);
  let correction = numbers.y * numbers.z * (value - numbers.x * numbers.z * known);
  let correction_low = vec4<f32>(
    subgroupBroadcast(correction, 0u),
    subgroupBroadcast(correction, 1u),
    subgroupBroadcast(correction, 2u),
    subgroupBroadcast(correction, 3u),
  );
  let correction_high = vec4<f32>(
    subgroupBroadcast(correction, 4u),
    subgroupBroadcast(correction, 5u),
    subgroupBroadcast(correction, 6u),
    subgroupBroadcast(correction, 7u),
  );
  var found_low = vec4<f32>();
  var found_high = vec4<f32>();
  for (var i = 0u; i < ROWS; i++) {
    (*low)[i] = fma(vec4<f32>((*key)[i]), correction_low, numbers.x * (*low)[i]);
    (*high)[i] = fma(vec4<f32>((*key)[i]), correction_high, numbers.x * (*high)[i]);
    found_low = fma(vec4<f32>((*query)[i]), (*low)[i], found_low);
    found_high = fma(vec4<f32>((*query)[i]), (*high)[i], found_high);
  }
  return numbers.w * total(found_low, found_high, lane);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  if (index / parameters.count >= parameters.probes) {
    return; // a surplus workgroup
  }
  let item = item_of(index);
  let columns = parameters.value_width - item.column;

  // Columns behind the last one of the head repeat it, and are not written.
  var matrix_0: Quad;
  var matrix_1: Quad;
  var matrix_2: Quad;
  var matrix_3: Quad;
  for (var token = 0u; token < item.tokens; token++) {
    let row = row_of(item, token);
    let start = row * parameters.width + item.key_start;
    let number = coefficients[4u * (row * parameters.heads + item.head) + (lane & 3u)];
    let numbers = vec4<f32>(
      subgroupBroadcast(number, 0u),
      subgroupBroadcast(number, 1u),
      subgroupBroadcast(number, 2u),
      subgroupBroadcast(number, 3u),
    );
    var key: array<f32, ROWS>;
    var query: array<f32, ROWS>;
    for (var i = 0u; i < ROWS; i++) {
      let d = i * LANES + lane;
      key[i] = select(0.0, x[start + parameters.key_heads * KEY_WIDTH + min(d, KEY_WIDTH - 1u)], d < KEY_WIDTH);
      query[i] = x[start + min(d, KEY_WIDTH - 1u)];
    }
    let value_start = row * parameters.value_stride + item.value_start;
    let value = values[value_start + min(lane, columns - 1u)];
    let found = walk(&matrix_0, &matrix_1, &key, &query, numbers, value, lane);
    let next_value = values[value_start + min(lane + LANES, columns - 1u)];
    let next_found = walk(&matrix_2, &matrix_3, &key, &query, numbers, next_value, lane);
    if (token >= item.before) {
      let place = place_of(item, row) + lane;
      if (lane < columns) {
        y[place] = found;
      }
      if (lane + LANES < columns) {
        y[place + LANES] = next_found;
      }
    }
  }
}
