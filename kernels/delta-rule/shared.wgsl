// The gated delta rule, shared: for software adapters with subgroups of 8, where loads decide the speed. A subgroup has
// four neighbouring columns of a head's matrix, and each of its lanes every eighth row of them, so that no two lanes
// load the same element of a key or a query. In delta-rule/scan.wgsl an invocation loads all of them.
//
// delta-rule/scan.wgsl says what is computed and how it is bound.

enable subgroups;
// All lanes of a workgroup, which is a subgroup, have the same run and so the same bounds of loops.
diagnostic(off, subgroup_uniformity);

struct Parameters {
  count: u32, // workgroups of one probe
  probes: u32,
  heads: u32,
  key_heads: u32,
  columns: u32, // workgroups of a head
  width: u32,
  value_stride: u32, // width, and where values begin, in vectors
  first_value: u32,
  rows_per_probe: u32,
  key_width: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> values: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> coefficients: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> runs: array<u32>;
@group(0) @binding(4) var<storage, read_write> state: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<uniform> parameters: Parameters;

const LANES: u32 = 8u;
// Rows of the matrix that a lane has; those behind the last one of all stay zeros. The loops over them are unrolled, so
// that the matrix needs no memory.
const ROWS: u32 = (KEY_WIDTH + LANES - 1u) / LANES;

// The sum over all lanes, in a fixed order.
fn total(part: vec4<f32>) -> vec4<f32> {
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
  let probe = index / parameters.count;
  if (probe >= parameters.probes) {
    return; // a surplus workgroup
  }
  let columns = parameters.columns;
  let column = index % columns;
  let head = index / columns % parameters.heads;
  let run = 6u * (index % parameters.count / (columns * parameters.heads));
  let key_start = head / (parameters.heads / parameters.key_heads) * KEY_WIDTH;
  let keys = parameters.key_heads * KEY_WIDTH;
  let value_start = parameters.first_value + head * columns + column;

  var matrix: array<vec4<f32>, ROWS>;
  let kept = (runs[run + 4u] * parameters.heads + head) * KEY_WIDTH * columns + column;
  if (KEEPS && runs[run + 5u] != 0u) {
    for (var i = 0u; i < ROWS; i++) {
      let d = i * LANES + lane;
      if (d < KEY_WIDTH) {
        matrix[i] = state[kept + d * columns];
      }
    }
  }
  let before = runs[run + 1u] - runs[run];
  let tokens = before + runs[run + 3u] - runs[run + 2u];
  for (var token = 0u; token < tokens; token++) {
    let own = select(runs[run + 2u] + token - before, runs[run] + token, token < before);
    let row = probe * parameters.rows_per_probe + own;
    let query = row * parameters.width + key_start;
    let numbers = coefficients[row * parameters.heads + head];
    var key: array<f32, ROWS>;
    var known = vec4<f32>();
    for (var i = 0u; i < ROWS; i++) {
      let d = i * LANES + lane;
      key[i] = select(0.0, x[query + keys + min(d, KEY_WIDTH - 1u)], d < KEY_WIDTH);
      known = fma(vec4<f32>(key[i]), matrix[i], known);
    }
    let value = values[row * parameters.value_stride + value_start];
    let correction = numbers.y * numbers.z * (value - numbers.x * numbers.z * total(known));
    var found = vec4<f32>();
    for (var i = 0u; i < ROWS; i++) {
      matrix[i] = fma(vec4<f32>(key[i]), correction, numbers.x * matrix[i]);
      found = fma(vec4<f32>(x[query + min(i * LANES + lane, KEY_WIDTH - 1u)]), matrix[i], found);
    }
    let result = numbers.w * total(found);
    if (token >= before && lane == 0u) {
      y[(row * parameters.heads + head) * columns + column] = result;
    }
  }
  if (KEEPS) {
    for (var i = 0u; i < ROWS; i++) {
      let d = i * LANES + lane;
      if (d < KEY_WIDTH) {
        state[kept + d * columns] = matrix[i];
      }
    }
  }
}
