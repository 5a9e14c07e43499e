// The gated delta rule: for every head a matrix M [KEY_WIDTH, value width], which each token (q, k, v) of a sequence
// first fades and corrects, and then reads:
//
//   M ← decay · M;   M ← M + k̂ (beta · (v − Mᵀ k̂))ᵀ;   y = Mᵀ q̂ / √KEY_WIDTH
//
// with k̂ and q̂ of length 1. The columns of M do not depend on each other: an invocation has some of them (`Columns`)
// of a head in registers and walks over the tokens of a run. x: [rows, width] f32, queries, keys and values one behind
// the other; values: the same buffer. coefficients: [rows, heads], see delta-rule/coefficients.wgsl. y: [rows, heads ·
// value width]. runs: as in convolution/interface.wgsl; the rows before a run are walked without writing their results,
// which another run does. state: [states, heads, KEY_WIDTH, value width], KEEPS: read where a run continues it, and
// written.

struct Parameters {
  count: u32, // invocations of one probe
  probes: u32,
  heads: u32,
  key_heads: u32,
  columns: u32, // invocations of a head
  width: u32,
  value_stride: u32, // width, and where values begin, in units of Columns
  first_value: u32,
  rows_per_probe: u32,
  key_width: u32, // KEY_WIDTH again, so that compilers do not unroll the loops
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> values: array<Columns>;
@group(0) @binding(2) var<storage, read> coefficients: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> runs: array<u32>;
@group(0) @binding(4) var<storage, read_write> state: array<Columns>;
@group(0) @binding(5) var<storage, read_write> y: array<Columns>;
@group(0) @binding(6) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let probe = index / parameters.count;
  if (probe >= parameters.probes) {
    return;
  }
  let columns = parameters.columns;
  let column = index % columns;
  let head = index / columns % parameters.heads;
  let run = 6u * (index % parameters.count / (columns * parameters.heads));
  let key_start = head / (parameters.heads / parameters.key_heads) * KEY_WIDTH;
  let keys = parameters.key_heads * KEY_WIDTH;
  let value_start = parameters.first_value + head * columns + column;

  var matrix: array<Columns, KEY_WIDTH>;
  let kept = (runs[run + 4u] * parameters.heads + head) * KEY_WIDTH * columns + column;
  if (KEEPS && runs[run + 5u] != 0u) {
    for (var d = 0u; d < parameters.key_width; d++) {
      matrix[d] = state[kept + d * columns];
    }
  }
  let before = runs[run + 1u] - runs[run];
  let total = before + runs[run + 3u] - runs[run + 2u];
  for (var token = 0u; token < total; token++) {
    let own = select(runs[run + 2u] + token - before, runs[run] + token, token < before);
    let row = probe * parameters.rows_per_probe + own;
    let query = row * parameters.width + key_start;
    let key = query + keys;
    let numbers = coefficients[row * parameters.heads + head];
    var known = Columns();
    for (var d = 0u; d < parameters.key_width; d++) {
      known = fma(Columns(x[key + d]), matrix[d], known);
    }
    let value = values[row * parameters.value_stride + value_start];
    let correction = numbers.y * numbers.z * (value - numbers.x * numbers.z * known);
    var found = Columns();
    for (var d = 0u; d < parameters.key_width; d++) {
      let next = fma(Columns(x[key + d]), correction, numbers.x * matrix[d]);
      matrix[d] = next;
      found = fma(Columns(x[query + d]), next, found);
    }
    if (token >= before) {
      y[(row * parameters.heads + head) * columns + column] = numbers.w * found;
    }
  }
  if (KEEPS) {
    for (var d = 0u; d < parameters.key_width; d++) {
      state[kept + d * columns] = matrix[d];
    }
  }
}
