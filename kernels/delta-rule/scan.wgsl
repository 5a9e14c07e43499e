// The gated delta rule: for every head a matrix M [KEY_WIDTH, value width], which each token (q, k, v) of a sequence
// first fades and corrects, and then reads:
//
//   M ← decay · M;   M ← M + k̂ (beta · (v − Mᵀ k̂))ᵀ;   y = Mᵀ q̂ / √KEY_WIDTH
//
// with k̂ and q̂ of length 1. The columns of M do not depend on each other: an invocation has some of them (`Columns`)
// of a head in registers and walks over the tokens of a run. x: [rows, width] f32, queries, keys and values one behind
// the other; values: the same buffer. coefficients: [rows, heads], see delta-rule/coefficients.wgsl. y: [rows, heads ·
// value width]. runs: as in convolution/interface.wgsl; the rows before a run are walked without writing their results,
// which another run does. state: [states, heads, KEY_WIDTH, value width], KEEPS: read where a run goes on from one,
// and written.

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index / parameters.count >= parameters.probes) {
    return;
  }
  let item = item_of(index);

  var matrix: array<Columns, KEY_WIDTH>;
  if (continues(item)) {
    for (var d = 0u; d < parameters.key_width; d++) {
      matrix[d] = state[item.continued + d * parameters.value_width];
    }
  }
  for (var token = 0u; token < item.tokens; token++) {
    let row = row_of(item, token);
    let query = row * parameters.width + item.key_start;
    let key = query + parameters.key_heads * KEY_WIDTH;
    let numbers = coefficients[row * parameters.heads + item.head];
    var known = Columns();
    for (var d = 0u; d < parameters.key_width; d++) {
      known = fma(Columns(x[key + d]), matrix[d], known);
    }
    let value = values[row * parameters.value_stride + item.value_start];
    let correction = numbers.y * numbers.z * (value - numbers.x * numbers.z * known);
    var found = Columns();
    for (var d = 0u; d < parameters.key_width; d++) {
      let next = fma(Columns(x[key + d]), correction, numbers.x * matrix[d]);
      matrix[d] = next;
      found = fma(Columns(x[query + d]), next, found);
    }
    if (token >= item.before) {
      y[place_of(item, row)] = numbers.w * found;
    }
  }
  if (KEEPS) {
    for (var d = 0u; d < parameters.key_width; d++) {
      state[item.kept + d * parameters.value_width] = matrix[d];
    }
  }
}
