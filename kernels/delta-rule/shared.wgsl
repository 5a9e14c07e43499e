// The gated delta rule, shared: for software adapters with subgroups of 8, where loads decide the speed. A subgroup has
// four neighbouring columns of a head's matrix, and each of its lanes every eighth row of them, so that no two lanes
// load the same element of a key or a query. In delta-rule/scan.wgsl an invocation loads all of them.
//
// delta-rule/scan.wgsl says what is computed and how it is bound.

enable subgroups;
// All lanes of a workgroup, which is a subgroup, have the same run and so the same bounds of loops.
diagnostic(off, subgroup_uniformity);

alias Columns = vec4<f32>;
alias Coefficients = vec4<f32>;

const ITEM_COLUMNS: u32 = 1u;
const LANES: u32 = 8u;
// Rows of the matrix that a lane has; those behind the last one of all stay zeros. The loops over them are unrolled, so
// that the matrix needs no memory.
const ROWS: u32 = (KEY_WIDTH + LANES - 1u) / LANES;

// The sum over all lanes, in a fixed order.
fn total(part: Columns) -> Columns {
  let pairs = part + subgroupShuffleXor(part, 1u);
  let quads = pairs + subgroupShuffleXor(pairs, 2u);
  return quads + subgroupShuffleXor(quads, 4u);
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

  var matrix: array<Columns, ROWS>;
  if (continues(item)) {
    for (var i = 0u; i < ROWS; i++) {
      let d = i * LANES + lane;
      if (d < KEY_WIDTH) {
        matrix[i] = state[item.continued + d * parameters.value_width];
      }
    }
  }
  for (var token = 0u; token < item.tokens; token++) {
    let row = row_of(item, token);
    let query = row * parameters.width + item.key_start;
    let numbers = coefficients[row * parameters.heads + item.head];
    var key: array<f32, ROWS>;
    var known = Columns();
    for (var i = 0u; i < ROWS; i++) {
      let d = i * LANES + lane;
      key[i] = select(0.0, x[query + parameters.key_heads * KEY_WIDTH + min(d, KEY_WIDTH - 1u)], d < KEY_WIDTH);
      known = fma(Columns(key[i]), matrix[i], known);
    }
    let value = values[row * parameters.value_stride + item.value_start];
    let correction = numbers.y * numbers.z * (value - numbers.x * numbers.z * total(known));
    var found = Columns();
    for (var i = 0u; i < ROWS; i++) {
      matrix[i] = fma(Columns(key[i]), correction, numbers.x * matrix[i]);
      found = fma(Columns(x[query + min(i * LANES + lane, KEY_WIDTH - 1u)]), matrix[i], found);
    }
    let result = numbers.w * total(found);
    if (token >= item.before && lane == 0u) {
      y[place_of(item, row)] = result;
    }
  }
  if (KEEPS) {
    for (var i = 0u; i < ROWS; i++) {
      let d = i * LANES + lane;
      if (d < KEY_WIDTH) {
        state[item.kept + d * parameters.value_width] = matrix[i];
      }
    }
  }
}
