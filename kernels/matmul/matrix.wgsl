// matmul, matrix: the variant for GPUs with matrix units. Four subgroups, 2 × 2, compute a tile of y together. Each of
// them holds FRAGMENTS × FRAGMENTS fragments of FRAGMENT_M × FRAGMENT_N in f32. x and W pass through workgroup memory
// in f16, DEPTH elements of the inner dimension at a time.
//
// SPLIT: rounding to f16 loses nothing that matters: x = high + low, both f16, and both are multiplied. This keeps 22
// bits of x at the cost of two multiplications instead of one. f32 weights (unless WEIGHT_IS_HALF) and U are split as
// well; low · low is left out. Without SPLIT every operand is rounded to f16 once. Sums are always f32.
// The smallest step of f16 is 2^-24, which is far too coarse for the low part of weights of the usual size, 0.02; its
// largest number is 65504. So W and U are scaled by 64: their smallest step becomes 2^-30, and their largest magnitude
// 1023. x is scaled by 1/8: its smallest step becomes 2^-21, and its largest magnitude half a million. Beyond these the
// result is infinite rather than wrong. f16 weights stay exact, and so do bf16 weights that are not smaller than 2^-22.
//
// Layout in workgroup memory: x_tile[row · STRIDE + k / 4] is high, and low is LOW_X further on; the same holds for
// weight_tile[column · STRIDE + k / 4]. So the left operand [M × K] is row-major with stride STRIDE. In the right
// operand [K × N] k runs fastest, so it is column-major with the same stride.
// Another file defines fragments, a Block of them, and their multiplication: matmul/matrix-units.wgsl, or in tests its
// emulation matmul/matrix-emulated.wgsl.

const DEPTH: u32 = select(32u, 16u, SPLIT);
const PARTS: u32 = select(1u, 2u, SPLIT);
const QUADS: u32 = DEPTH / 4u;
const STRIDE: u32 = QUADS + 2u; // in quads, as all offsets; padded against bank conflicts; rows stay 16-byte aligned
const LANES: u32 = 4u * SUBGROUP;
const SPAN_ROWS: u32 = FRAGMENTS * FRAGMENT_M; // of one subgroup
const SPAN_COLUMNS: u32 = FRAGMENTS * FRAGMENT_N;
const TILE_ROWS: u32 = 2u * SPAN_ROWS;
const TILE_COLUMNS: u32 = 2u * SPAN_COLUMNS;
// Per invocation, rounded up.
const LEFT_QUADS: u32 = (TILE_ROWS * QUADS + LANES - 1u) / LANES;
const RIGHT_QUADS: u32 = (TILE_COLUMNS * QUADS + LANES - 1u) / LANES;
const LOW_X: u32 = TILE_ROWS * STRIDE;
const LOW_WEIGHT: u32 = TILE_COLUMNS * STRIDE;
const ROW_STEP: u32 = FRAGMENT_M * STRIDE; // in x_tile
const FRAGMENT_SIZE: u32 = FRAGMENT_M * FRAGMENT_N;
const X_SCALE: f32 = 0.125;
const WEIGHT_SCALE: f32 = 64.0;
const LARGEST_HALF: f32 = 65504.0;

var<workgroup> x_tile: array<HalfQuad, PARTS * TILE_ROWS * STRIDE>;
var<workgroup> weight_tile: array<HalfQuad, PARTS * TILE_COLUMNS * STRIDE>;
// One fragment of each subgroup on its way to y.
var<workgroup> results: array<f32, 4u * FRAGMENT_SIZE>;

fn clamp_to_half(value: vec4<f32>) -> vec4<f32> {
  return clamp(value, vec4<f32>(-LARGEST_HALF), vec4<f32>(LARGEST_HALF));
}

// Values that are the same for a whole subgroup. WGSL requires stores of matrices to be visibly uniform.
struct Place {
  span: Span,
  row_start: u32,
  column_start: u32,
  subgroup: u32,
  slice: u32,
}

// Adds x Wᵀ, or the side product q Uᵀ, to the sums: from quad `start` of the inner dimension, which has `depth` quads,
// to quad `end`. The two products run one after the other rather than in one loop, where the code of only one of them
// would be a branch around all sums in each iteration.
fn add_product(is_side: bool, start: u32, end: u32, depth: u32, place: Place, lane: u32, sums: Block) -> Block {
  let span_row = (place.subgroup / 2u) * SPAN_ROWS;
  let span_column = (place.subgroup % 2u) * SPAN_COLUMNS;
  let has_low = SPLIT && (is_side || !WEIGHT_IS_HALF);
  var block = sums;
  for (var quad = start; quad < end; quad += QUADS) {
    // All loads come before the first use, so that they are in flight together.
    let left_scale = select(X_SCALE * parameters.weight_scale, X_SCALE, is_side);
    var left_quads: array<vec4<f32>, LEFT_QUADS>;
    for (var i = 0u; i < LEFT_QUADS; i++) {
      let item = lane + i * LANES;
      left_quads[i] = left_scale
        * left_quad(place.span, is_side, place.row_start + item / QUADS, quad + item % QUADS, end, depth);
    }
    var right_quads: array<vec4<f32>, RIGHT_QUADS>;
    for (var i = 0u; i < RIGHT_QUADS; i++) {
      let item = lane + i * LANES;
      right_quads[i] = WEIGHT_SCALE
        * right_quad(place.span, is_side, place.column_start + item / QUADS, quad + item % QUADS, end, depth);
    }
    for (var i = 0u; i < LEFT_QUADS; i++) {
      let item = lane + i * LANES;
      let slot = (item / QUADS) * STRIDE + item % QUADS;
      let value = left_quads[i];
      // Only operands with a low part are clamped: their low part shows which values are not finite.
      let high = to_half(select(value, clamp_to_half(value), SPLIT));
      if (item < TILE_ROWS * QUADS) {
        x_tile[slot] = high;
        if (SPLIT) {
          x_tile[LOW_X + slot] = to_half(value - vec4<f32>(high));
        }
      }
    }
    for (var i = 0u; i < RIGHT_QUADS; i++) {
      let item = lane + i * LANES;
      let slot = (item / QUADS) * STRIDE + item % QUADS;
      let value = right_quads[i];
      let high = to_half(select(value, clamp_to_half(value), has_low));
      if (item < TILE_COLUMNS * QUADS) {
        weight_tile[slot] = high;
        if (has_low) {
          weight_tile[LOW_WEIGHT + slot] = to_half(value - vec4<f32>(high));
        }
      }
    }
    workgroupBarrier();
    for (var k = 0u; k < DEPTH; k += fragment_depth()) {
      let left = span_row * STRIDE + k / 4u;
      let right = span_column * STRIDE + k / 4u;
      block = multiply_block(block, left, right, has_low);
    }
    workgroupBarrier();
  }
  return block;
}

fn multiply_tile(group: vec3<u32>, group_index: u32, lane: u32, subgroup: u32) {
  let column_tiles = (parameters.columns + TILE_COLUMNS - 1u) / TILE_COLUMNS;
  let span = span_of(group_index / column_tiles, TILE_ROWS);
  let row_start = span.block * TILE_ROWS;
  let column_start = (group_index % column_tiles) * TILE_COLUMNS;
  let place = Place(span, row_start, column_start, subgroup, group.z);
  var block: Block;
  let inner = select(0u, inner_end(group.z), span.rows > 0u);
  let rank = select(0u, rank_end(group.z), span.rows > 0u);
  block = add_product(false, inner_start(group.z), inner, parameters.inner_quads, place, lane, block);
  block = add_product(true, 0u, rank, parameters.rank_quads, place, lane, block);
  finish_block(block, place, lane);
}

// Writes fragment (i, j) of all four subgroups. It goes through workgroup memory, because it is not known which
// invocation holds which element.
fn finish_fragment(sum: Result, i: u32, j: u32, place: Place, lane: u32) {
  store(place.subgroup * FRAGMENT_SIZE, sum);
  workgroupBarrier();
  for (var item = lane; item < 4u * FRAGMENT_SIZE; item += LANES) {
    let owner = item / FRAGMENT_SIZE;
    let element = item % FRAGMENT_SIZE;
    let row = place.row_start + (owner / 2u) * SPAN_ROWS + i * FRAGMENT_M + element / FRAGMENT_N;
    let column = place.column_start + (owner % 2u) * SPAN_COLUMNS + j * FRAGMENT_N + element % FRAGMENT_N;
    if (row < place.span.rows && column < parameters.columns) {
      // The sum is already scaled by weight_scale.
      finish(0.0, results[item] / (X_SCALE * WEIGHT_SCALE), place.span.first + row, column, place.slice);
    }
  }
  workgroupBarrier();
}
