// Sums of LANES · BLOCKS rows × 4 · LANES columns that a subgroup of 8 or 4 (LANES) makes together: each lane has four
// columns of all rows, and loads the left operand of one row per block, which the subgroup shares by broadcasts.
//
// Compilers unroll each load and each store once per lane, into some hundred basic blocks per quad. Sums in registers,
// live across all of these blocks, would take seconds to compile, and there are too many of them to fit. An index in
// the epilogue, which is not a constant, keeps the sums in memory.

enable subgroups;

// For each row of the result, the four columns of this lane.
alias Sums = array<vec4<f32>, LANES * BLOCKS>;

// Adds four more terms to each sum: left[b] has those of this lane's row of block b, right[k] the k-th of each of its
// columns.
fn add_elements(sums: ptr<function, Sums>, left: mat4x4<f32>, right: mat4x4<f32>) {
  add_block(sums, 0u, left[0], right);
  if (BLOCKS > 1u) {
    add_block(sums, LANES, left[1], right);
  }
  if (BLOCKS > 2u) {
    add_block(sums, 2u * LANES, left[2], right);
    add_block(sums, 3u * LANES, left[3], right);
  }
}

// Adds to the rows from `first` on, one per lane that loaded a row of the left operand.
fn add_block(sums: ptr<function, Sums>, first: u32, left: vec4<f32>, right: mat4x4<f32>) {
  (*sums)[first] = add_row((*sums)[first], subgroupBroadcast(left, 0u), right);
  (*sums)[first + 1u] = add_row((*sums)[first + 1u], subgroupBroadcast(left, 1u), right);
  (*sums)[first + 2u] = add_row((*sums)[first + 2u], subgroupBroadcast(left, 2u), right);
  (*sums)[first + 3u] = add_row((*sums)[first + 3u], subgroupBroadcast(left, 3u), right);
  if (LANES > 4u) {
    (*sums)[first + 4u] = add_row((*sums)[first + 4u], subgroupBroadcast(left, 4u), right);
    (*sums)[first + 5u] = add_row((*sums)[first + 5u], subgroupBroadcast(left, 5u), right);
    (*sums)[first + 6u] = add_row((*sums)[first + 6u], subgroupBroadcast(left, 6u), right);
    (*sums)[first + 7u] = add_row((*sums)[first + 7u], subgroupBroadcast(left, 7u), right);
  }
}

fn add_row(sum: vec4<f32>, left: vec4<f32>, right: mat4x4<f32>) -> vec4<f32> {
  return fma(left.wwww, right[3], fma(left.zzzz, right[2], fma(left.yyyy, right[1], fma(left.xxxx, right[0], sum))));
}
