// matmul, matrix: the variant for GPUs with matrix units. Four subgroups make a tile of y together, 2 × 2, each of them FRAGMENTS × FRAGMENTS
// fragments of FRAGMENT_M × FRAGMENT_N in f32. x and W pass through workgroup memory in f16, DEPTH elements deep at a time.
//
// SPLIT: nothing is lost to f16: x = high + low, both f16, and both are multiplied, which keeps 22 bits of x for two multiplications instead of one.
// f32 weights (unless WEIGHT_IS_HALF) and U are split as well and low · low left out. Otherwise all that is multiplied is rounded to f16, once.
// Sums are f32 from the first to the last.
// f16 has steps of 2^-24 at the least, which for low are far too coarse where weights are of the usual size, 0.02, and it ends at 65504. So W and U
// are scaled by 64: their steps are 2^-30, and they may be up to 1023; and x by 1/8: steps of 2^-21, up to half a million. Beyond, the result is
// infinite rather than wrong. f16 weights stay exact, and bf16 ones that are no smaller than 2^-22.
//
// Layout in workgroup memory: x_tile[row · STRIDE + k / 4] is high, LOW_X further is low; weight_tile[column · STRIDE + k / 4] likewise. So the left
// operand [M × K] is row-major with stride STRIDE; the right operand [K × N] has k running fastest, so it is column-major with the same stride.
// What a fragment is, a Block of them, and how those are multiplied comes from another file: matmul/matrix-units.wgsl, or in its place for tests
// an emulation, matmul/matrix-emulated.wgsl.

const DEPTH: u32 = select(32u, 16u, SPLIT);
const PARTS: u32 = select(1u, 2u, SPLIT);
const QUADS: u32 = DEPTH / 4u;
const STRIDE: u32 = QUADS + 2u; // in quads, as all places: padded against bank conflicts; rows stay aligned to 16 bytes
const LANES: u32 = 4u * SUBGROUP;
const SPAN_ROWS: u32 = FRAGMENTS * FRAGMENT_M; // of one subgroup
const SPAN_COLUMNS: u32 = FRAGMENTS * FRAGMENT_N;
const TILE_ROWS: u32 = 2u * SPAN_ROWS;
const TILE_COLUMNS: u32 = 2u * SPAN_COLUMNS;
// Of an invocation, or no more than that.
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

// What is the same for all of a subgroup; WGSL wants that to be plain where matrices are stored.
struct Place {
  row_start: u32,
  column_start: u32,
  subgroup: u32,
  slice: u32,
}

// Adds x Wᵀ, or the side product q Uᵀ, to the sums: from quad `start` of the inner dimension, which has `depth` of them, to quad `end`. One after
// the other and not in one loop, where what only one of them does would be a branch around all sums in each turn.
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
      left_quads[i] = left_scale * left_quad(is_side, place.row_start + item / QUADS, quad + item % QUADS, end, depth);
    }
    var right_quads: array<vec4<f32>, RIGHT_QUADS>;
    for (var i = 0u; i < RIGHT_QUADS; i++) {
      let item = lane + i * LANES;
      right_quads[i] = WEIGHT_SCALE * right_quad(is_side, place.column_start + item / QUADS, quad + item % QUADS, end, depth);
    }
    for (var i = 0u; i < LEFT_QUADS; i++) {
      let item = lane + i * LANES;
      let slot = (item / QUADS) * STRIDE + item % QUADS;
      let value = left_quads[i];
      // Only what has a low is clamped: it shows there what is not finite.
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
  let row_start = (group_index / column_tiles) * TILE_ROWS;
  let column_start = (group_index % column_tiles) * TILE_COLUMNS;
  let place = Place(row_start, column_start, subgroup, group.z);
  var block: Block;
  block = add_product(false, inner_start(group.z), inner_end(group.z), parameters.inner_quads, place, lane, block);
  block = add_product(true, 0u, rank_end(group.z), parameters.rank_quads, place, lane, block);
  finish_block(block, place, lane);
}

// Fragment (i, j) of all four subgroups, through workgroup memory, since which invocation has which element is not known.
fn finish_fragment(sum: Result, i: u32, j: u32, place: Place, lane: u32) {
  store(place.subgroup * FRAGMENT_SIZE, sum);
  workgroupBarrier();
  for (var item = lane; item < 4u * FRAGMENT_SIZE; item += LANES) {
    let owner = item / FRAGMENT_SIZE;
    let element = item % FRAGMENT_SIZE;
    let row = place.row_start + (owner / 2u) * SPAN_ROWS + i * FRAGMENT_M + element / FRAGMENT_N;
    let column = place.column_start + (owner % 2u) * SPAN_COLUMNS + j * FRAGMENT_N + element % FRAGMENT_N;
    if (row < parameters.rows && column < parameters.columns) {
      // Already scaled by weight_scale.
      finish(0.0, results[item] / (X_SCALE * WEIGHT_SCALE), parameters.row_start + row, column, place.slice);
    }
  }
  workgroupBarrier();
}
