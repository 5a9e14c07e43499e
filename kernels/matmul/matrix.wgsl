// matmul, matrix: the variant for GPUs with matrix units. Four subgroups make a tile of y together, 2 × 2, each of them FRAGMENTS × FRAGMENTS
// fragments of FRAGMENT_M × FRAGMENT_N in f32. x and W pass through workgroup memory in f16, DEPTH elements deep at a time.
//
// Nothing is lost to f16: x = high + low, both f16, and both are multiplied, which keeps 22 bits of x for two multiplications instead of one.
// x is scaled by 1/8 first: f16 then holds values to half a million exactly enough (low has steps of 2^-24 · 8), beyond, the result is
// infinite rather than wrong. f16 weights are exact, bf16 ones down to steps of 2^-24; f32 weights (unless WEIGHT_IS_HALF) and U are split as
// well and low · low left out. Sums are f32 from the first to the last.
//
// Layout in workgroup memory: x_tile[row · STRIDE + k] is high, LOW_X further is low; weight_tile[column · STRIDE + k] likewise. So the left
// operand [M × K] is row-major with stride STRIDE; the right operand [K × N] has k running fastest, so it is column-major with the same stride.
// What a fragment is and how it is multiplied comes from another file (matmul/matrix-units.wgsl, or in its place for tests an emulation,
// matmul/matrix-emulated.wgsl).

const DEPTH: u32 = 16u;
const QUADS: u32 = DEPTH / 4u;
const STRIDE: u32 = DEPTH + 8u; // padded against bank conflicts; rows stay aligned to 16 bytes
const LANES: u32 = 4u * SUBGROUP;
const SPAN_ROWS: u32 = FRAGMENTS * FRAGMENT_M; // of one subgroup
const SPAN_COLUMNS: u32 = FRAGMENTS * FRAGMENT_N;
const TILE_ROWS: u32 = 2u * SPAN_ROWS;
const TILE_COLUMNS: u32 = 2u * SPAN_COLUMNS;
const LOW_X: u32 = TILE_ROWS * STRIDE;
const LOW_WEIGHT: u32 = TILE_COLUMNS * STRIDE;
const FRAGMENT_SIZE: u32 = FRAGMENT_M * FRAGMENT_N;
const X_SCALE: f32 = 0.125;
const LARGEST_HALF: f32 = 65504.0;

var<workgroup> x_tile: array<Half, 2u * TILE_ROWS * STRIDE>;
var<workgroup> weight_tile: array<Half, 2u * TILE_COLUMNS * STRIDE>;
// One fragment of each subgroup on its way to y.
var<workgroup> results: array<f32, 4u * FRAGMENT_SIZE>;

fn clamp_to_half(value: vec4<f32>) -> vec4<f32> {
  return clamp(value, vec4<f32>(-LARGEST_HALF), vec4<f32>(LARGEST_HALF));
}

fn multiply_tile(group: vec3<u32>, group_index: u32, lane: u32, subgroup: u32) {
  let column_tiles = (parameters.columns + TILE_COLUMNS - 1u) / TILE_COLUMNS;
  let row_start = (group_index / column_tiles) * TILE_ROWS;
  let column_start = (group_index % column_tiles) * TILE_COLUMNS;
  let span_row = (subgroup / 2u) * SPAN_ROWS;
  let span_column = (subgroup % 2u) * SPAN_COLUMNS;

  var sums: array<array<Result, FRAGMENTS>, FRAGMENTS>;
  for (var side = 0u; side < 2u; side++) {
    let depth = select(parameters.rank_quads, parameters.inner_quads, side == 0u);
    let end = select(rank_end(group.z), inner_end(group.z), side == 0u);
    for (var start = select(0u, inner_start(group.z), side == 0u); start < end; start += QUADS) {
      for (var item = lane; item < TILE_ROWS * QUADS; item += LANES) {
        let k = item % QUADS;
        let row = row_start + item / QUADS;
        var value = vec4<f32>();
        if (row < parameters.rows && start + k < end) {
          let position = (parameters.row_start + row) * depth + start + k;
          if (side == 0u) {
            value = (X_SCALE * parameters.weight_scale) * x[position];
          } else {
            value = X_SCALE * q[parameters.q_start + position];
          }
        }
        // Only high is clamped: what is not finite then shows in low.
        let high = to_half(clamp_to_half(value));
        let low = to_half(value - vec4<f32>(high));
        let place = (item / QUADS) * STRIDE + 4u * k;
        for (var e = 0u; e < 4u; e++) {
          x_tile[place + e] = high[e];
          x_tile[LOW_X + place + e] = low[e];
        }
      }
      for (var item = lane; item < TILE_COLUMNS * QUADS; item += LANES) {
        let k = item % QUADS;
        let column = column_start + item / QUADS;
        let place = (item / QUADS) * STRIDE + 4u * k;
        var value = vec4<f32>();
        if (column < parameters.columns && start + k < end) {
          if (side == 0u) {
            value = widen(weight[(parameters.weight_row + column) * depth + start + k]);
          } else {
            value = u[(parameters.output_row + column) * depth + start + k];
          }
        }
        if (WEIGHT_IS_HALF && side == 0u) {
          let high = to_half(value);
          for (var e = 0u; e < 4u; e++) {
            weight_tile[place + e] = high[e];
          }
        } else {
          let high = to_half(clamp_to_half(value));
          let low = to_half(value - vec4<f32>(high));
          for (var e = 0u; e < 4u; e++) {
            weight_tile[place + e] = high[e];
            weight_tile[LOW_WEIGHT + place + e] = low[e];
          }
        }
      }
      workgroupBarrier();
      for (var k = 0u; k < DEPTH; k += fragment_depth()) {
        var columns: array<Right, FRAGMENTS>;
        for (var j = 0u; j < fragments(); j++) {
          columns[j] = load_right((span_column + j * FRAGMENT_N) * STRIDE + k);
        }
        for (var i = 0u; i < fragments(); i++) {
          let place = (span_row + i * FRAGMENT_M) * STRIDE + k;
          let high = load_left(place);
          let low = load_left(LOW_X + place);
          for (var j = 0u; j < fragments(); j++) {
            sums[i][j] = multiply(low, columns[j], sums[i][j]);
            sums[i][j] = multiply(high, columns[j], sums[i][j]);
          }
        }
        if (side == 1u || !WEIGHT_IS_HALF) {
          for (var j = 0u; j < fragments(); j++) {
            let low = load_right(LOW_WEIGHT + (span_column + j * FRAGMENT_N) * STRIDE + k);
            for (var i = 0u; i < fragments(); i++) {
              sums[i][j] = multiply(load_left((span_row + i * FRAGMENT_M) * STRIDE + k), low, sums[i][j]);
            }
          }
        }
      }
      workgroupBarrier();
    }
  }

  for (var i = 0u; i < fragments(); i++) {
    for (var j = 0u; j < fragments(); j++) {
      store(subgroup * FRAGMENT_SIZE, sums[i][j]);
      workgroupBarrier();
      for (var item = lane; item < 4u * FRAGMENT_SIZE; item += LANES) {
        let owner = item / FRAGMENT_SIZE;
        let element = item % FRAGMENT_SIZE;
        let row = row_start + (owner / 2u) * SPAN_ROWS + i * FRAGMENT_M + element / FRAGMENT_N;
        let column = column_start + (owner % 2u) * SPAN_COLUMNS + j * FRAGMENT_N + element % FRAGMENT_N;
        if (row < parameters.rows && column < parameters.columns) {
          // Already scaled by weight_scale.
          finish(0.0, results[item] / X_SCALE, parameters.row_start + row, column, group.z);
        }
      }
      workgroupBarrier();
    }
  }
}
