// What every matmul variant computes and how it is bound. The variants (naive, direct, subgroup, tile, …) differ only
// in how they divide the work.
//
//   y[i, c] = weight_scale · Σ_k x[i, k] · W[c, k]  +  Σ_j q[i, j] · U[c, j]  +  bias[c]        (then ACTIVATION)
//
// x: [all rows, 4·inner_quads] f32. This launch takes `rows` of its rows, from row_start on.
// W: rows of 4·inner_quads stored elements (weights/*.wgsl). A weight may span several buffers. One launch takes
// `columns` rows of W, from row `weight_row` of the bound buffer on, which is row `output_row` of the whole weight;
// they yield the columns of y from column_start on.
// q, U: the low-rank side product: q is [all rows, 4·rank_quads] in f32, from quad q_start of the bound buffer on, and
// U is [all outputs, 4·rank_quads] as factors are stored (zo/factors-*.wgsl). rank_quads = 0 leaves it out.
// bias: one vector per probe at bias_offset + probe · bias_stride, where probe = row / rows_per_probe.
// y: [rows, y_stride] f32. ACCUMULATE adds to the contents of y (the residual stream).
//
// SLICED: for results too small to fill a GPU, the third dimension of the launch cuts the inner dimension into slices
// of slice_quads. y is then scratch memory [slices, rows, columns] for the sums of the slices (the first slice includes
// the side product); matmul/reduce.wgsl adds them in order and does the rest.

struct Parameters {
  row_start: u32,
  rows: u32,
  columns: u32,
  inner_quads: u32,
  rank_quads: u32,
  q_start: u32,
  weight_row: u32,
  output_row: u32,
  column_start: u32,
  y_stride: u32,
  rows_per_probe: u32,
  bias_offset: u32,
  bias_stride: u32,
  slice_quads: u32,
  weight_scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<WeightWord>;
@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> u: array<FactorWord>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> parameters: Parameters;

fn u_quad(index: u32) -> vec4<f32> {
  return factor_quad(u[index]);
}

// The quads of the inner dimension that a slice takes, and the number of quads of the rank.
fn inner_start(slice: u32) -> u32 {
  if (SLICED) {
    return min(slice * parameters.slice_quads, parameters.inner_quads);
  }
  return 0u;
}

fn inner_end(slice: u32) -> u32 {
  if (SLICED) {
    return min((slice + 1u) * parameters.slice_quads, parameters.inner_quads);
  }
  return parameters.inner_quads;
}

fn rank_end(slice: u32) -> u32 {
  if (SLICED && slice > 0u) {
    return 0u;
  }
  return parameters.rank_quads;
}

// Loads a quad of the left operand, x or for the side product q: that of a row of this launch at k of `depth` quads.
// Returns zeros after the last row and from `end` on. It does so without a branch, so that many such loads are in
// flight together.
fn left_quad(is_side: bool, row: u32, k: u32, end: u32, depth: u32) -> vec4<f32> {
  let position = (parameters.row_start + min(row, parameters.rows - 1u)) * depth + min(k, end - 1u);
  var value: vec4<f32>;
  if (is_side) {
    value = q[parameters.q_start + position];
  } else {
    value = x[position];
  }
  return select(vec4<f32>(), value, row < parameters.rows && k < end);
}

// Loads a quad of the right operand, W or for the side product U, of a column of this launch.
fn right_quad(is_side: bool, column: u32, k: u32, end: u32, depth: u32) -> vec4<f32> {
  let position = min(column, parameters.columns - 1u) * depth + min(k, end - 1u);
  var value: vec4<f32>;
  if (is_side) {
    value = u_quad(parameters.output_row * depth + position);
  } else {
    value = weight_quad(parameters.weight_row * depth + position);
  }
  return select(vec4<f32>(), value, column < parameters.columns && k < end);
}

// Epilogue of one element, given the sums of both products, the row of x and y, the column of this launch, and the
// slice.
fn finish(base: f32, side: f32, row: u32, column: u32, slice: u32) {
  write(parameters.weight_scale * base + side, row, column, slice);
}

// Epilogue of one element, given its complete sum.
fn write(sum: f32, row: u32, column: u32, slice: u32) {
  var value = sum;
  if (SLICED) {
    y[(slice * parameters.rows + row - parameters.row_start) * parameters.columns + column] = value;
    return;
  }
  if (HAS_BIAS) {
    let probe = row / parameters.rows_per_probe;
    value += bias[parameters.bias_offset + probe * parameters.bias_stride + parameters.output_row + column];
  }
  value = activate(value);
  let index = row * parameters.y_stride + parameters.column_start + column;
  if (ACCUMULATE) {
    value += y[index];
  }
  y[index] = value;
}
