// Fragments of matmul/matrix.wgsl on matrix units: Dawn's subgroup matrices with f16 operands and f32 sums. The
// template arguments are (element, columns, rows). `main` comes from matmul/matrix-main.wgsl or
// matmul/matrix-main-sized.wgsl.

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

alias HalfQuad = vec4<f16>;
alias Left = subgroup_matrix_left<f16, FRAGMENT_K, FRAGMENT_M>;
alias Right = subgroup_matrix_right<f16, FRAGMENT_N, FRAGMENT_K>;
alias Result = subgroup_matrix_result<f32, FRAGMENT_N, FRAGMENT_M>;

fn fragment_depth() -> u32 {
  return FRAGMENT_K;
}

// The conversion uses bits: a compiler may assume that vec4<f16>(value) and back loses nothing (Mesa's does), which
// would make low zero.
fn to_half(value: vec4<f32>) -> vec4<f16> {
  return bitcast<vec4<f16>>(vec2<u32>(pack2x16float(value.xy), pack2x16float(value.zw)));
}

fn load_left(offset: u32) -> Left {
  return subgroupMatrixLoad<Left, row_major>(&x_tile, offset, STRIDE);
}

fn load_right(offset: u32) -> Right {
  return subgroupMatrixLoad<Right, col_major>(&weight_tile, offset, STRIDE);
}

fn multiply(left: Left, right: Right, sum: Result) -> Result {
  return subgroupMatrixMultiplyAccumulate(left, right, sum);
}

fn store(offset: u32, sum: Result) {
  subgroupMatrixStore<row_major>(&results, offset, sum, FRAGMENT_N);
}

// The fragments of a subgroup in one row, or in one column, of its block. There are FRAGMENTS of them; c and d are used
// with four. Each has a name, because a compiler keeps an array in memory rather than in registers if its index is not
// a constant to it (RADV did that to 4 × 4 sums in loops).
struct Sums {
  a: Result,
  b: Result,
  c: Result,
  d: Result,
}

struct Block {
  row_0: Sums,
  row_1: Sums,
  row_2: Sums,
  row_3: Sums,
}

struct Columns {
  a: Right,
  b: Right,
  c: Right,
  d: Right,
}

fn load_columns(place: u32) -> Columns {
  var columns: Columns;
  columns.a = load_right(place);
  columns.b = load_right(place + FRAGMENT_N * STRIDE);
  if (FRAGMENTS == 4u) {
    columns.c = load_right(place + 2u * FRAGMENT_N * STRIDE);
    columns.d = load_right(place + 3u * FRAGMENT_N * STRIDE);
  }
  return columns;
}

fn multiply_row(left: Left, columns: Columns, sums: Sums) -> Sums {
  var result = sums;
  result.a = multiply(left, columns.a, sums.a);
  result.b = multiply(left, columns.b, sums.b);
  if (FRAGMENTS == 4u) {
    result.c = multiply(left, columns.c, sums.c);
    result.d = multiply(left, columns.d, sums.d);
  }
  return result;
}

// Loads low and high of the rows at a place in x_tile, one after the other.
fn multiply_both(place: u32, columns: Columns, sums: Sums) -> Sums {
  var result = sums;
  if (SPLIT) {
    result = multiply_row(load_left(LOW_X + place), columns, result);
  }
  return multiply_row(load_left(place), columns, result);
}

// Adds the product of the fragments at these places in x_tile and weight_tile.
fn multiply_block(block: Block, left: u32, right: u32, has_low: bool) -> Block {
  var result = block;
  let columns = load_columns(right);
  result.row_0 = multiply_both(left, columns, result.row_0);
  result.row_1 = multiply_both(left + ROW_STEP, columns, result.row_1);
  if (FRAGMENTS == 4u) {
    result.row_2 = multiply_both(left + 2u * ROW_STEP, columns, result.row_2);
    result.row_3 = multiply_both(left + 3u * ROW_STEP, columns, result.row_3);
  }
  if (has_low) {
    let low = load_columns(LOW_WEIGHT + right);
    result.row_0 = multiply_row(load_left(left), low, result.row_0);
    result.row_1 = multiply_row(load_left(left + ROW_STEP), low, result.row_1);
    if (FRAGMENTS == 4u) {
      result.row_2 = multiply_row(load_left(left + 2u * ROW_STEP), low, result.row_2);
      result.row_3 = multiply_row(load_left(left + 3u * ROW_STEP), low, result.row_3);
    }
  }
  return result;
}

fn finish_row(sums: Sums, i: u32, place: Place, lane: u32) {
  finish_fragment(sums.a, i, 0u, place, lane);
  finish_fragment(sums.b, i, 1u, place, lane);
  if (FRAGMENTS == 4u) {
    finish_fragment(sums.c, i, 2u, place, lane);
    finish_fragment(sums.d, i, 3u, place, lane);
  }
}

fn finish_block(block: Block, place: Place, lane: u32) {
  finish_row(block.row_0, 0u, place, lane);
  finish_row(block.row_1, 1u, place, lane);
  if (FRAGMENTS == 4u) {
    finish_row(block.row_2, 2u, place, lane);
    finish_row(block.row_3, 3u, place, lane);
  }
}
