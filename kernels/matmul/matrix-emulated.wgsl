// Fragments of matmul/matrix.wgsl without matrix units, so that its offsets can be tested on every adapter. An operand
// is a place in workgroup memory. A result is spread over the lanes of an emulated subgroup: element e of the fragment
// is on lane e mod SUBGROUP.

alias HalfQuad = vec4<f32>;
alias Result = array<f32, FRAGMENT_SIZE / SUBGROUP>;

var<private> fragment_lane: u32;

// Returns a bound that compilers do not know, so that they do not unroll loops; unrolling these takes minutes on a
// software adapter.
fn unknown(bound: u32) -> u32 {
  return min(bound, 1024u * parameters.columns);
}

fn fragment_depth() -> u32 {
  return unknown(FRAGMENT_K);
}

// Rounds to f32 numbers that f16 can represent.
fn to_half(value: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(pack2x16float(value.xy)), unpack2x16float(pack2x16float(value.zw)));
}

fn multiply(left: u32, right: u32, sum: Result) -> Result {
  var result = sum;
  let elements = unknown(FRAGMENT_SIZE / SUBGROUP);
  for (var e = 0u; e < elements; e++) {
    let element = fragment_lane + SUBGROUP * e;
    let row = left + (element / FRAGMENT_N) * STRIDE;
    let column = right + (element % FRAGMENT_N) * STRIDE;
    for (var k = 0u; k < fragment_depth(); k++) {
      result[e] += x_tile[row + k / 4u][k % 4u] * weight_tile[column + k / 4u][k % 4u];
    }
  }
  return result;
}

fn store(offset: u32, sum: Result) {
  for (var e = 0u; e < unknown(FRAGMENT_SIZE / SUBGROUP); e++) {
    results[offset + fragment_lane + SUBGROUP * e] = sum[e];
  }
}

fn fragments() -> u32 {
  return unknown(FRAGMENTS);
}

alias Block = array<array<Result, FRAGMENTS>, FRAGMENTS>;

fn multiply_block(block: Block, left: u32, right: u32, has_low: bool) -> Block {
  var result = block;
  for (var i = 0u; i < fragments(); i++) {
    let row = left + i * ROW_STEP;
    for (var j = 0u; j < fragments(); j++) {
      let column = right + j * FRAGMENT_N * STRIDE;
      if (SPLIT) {
        result[i][j] = multiply(LOW_X + row, column, result[i][j]);
      }
      result[i][j] = multiply(row, column, result[i][j]);
      if (has_low) {
        result[i][j] = multiply(row, LOW_WEIGHT + column, result[i][j]);
      }
    }
  }
  return result;
}

fn finish_block(block: Block, place: Place, lane: u32) {
  for (var i = 0u; i < fragments(); i++) {
    for (var j = 0u; j < fragments(); j++) {
      finish_fragment(block[i][j], i, j, place, lane);
    }
  }
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  fragment_lane = lane % SUBGROUP;
  multiply_tile(group, group.y * groups.x + group.x, lane, lane / SUBGROUP);
}
