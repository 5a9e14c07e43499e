// What every matmul variant computes and how it is bound. The variants (naive, direct, subgroup, tile, …) differ only
// in how they divide the work.
//
//   y[i, c] = weight_scale · Σ_k x[i, k] · W[c, k]  +  Σ_j q[i, j] · U[c, j]  +  bias[c]        (then ACTIVATION)
//
// x: [all rows, 4·inner_quads] f32.
// W: rows of 4·inner_quads stored elements (weights/*.wgsl). A weight may span several buffers. One launch takes
// `columns` rows of W, from row `weight_row` of the bound buffer on, which is row `output_row` of the whole weight;
// they yield the columns of y from column_start on.
// Another file has the parameters, the epilogue, and span_of, which says what rows of x a block takes and what rows of
// W it multiplies them with: matmul/whole.wgsl, the same for all, or matmul/grouped.wgsl, by a table on the GPU.
// q, U: the low-rank side product: q is [all rows, 4·rank_quads] in f32, from quad q_start of the bound buffer on, and
// U is [all outputs, 4·rank_quads] as factors are stored (zo/factors-*.wgsl). rank_quads = 0 leaves it out.
// bias: one vector per probe, see matmul/whole.wgsl.
// y: [rows, y_stride] f32. With ACCUMULATE and accumulate ≠ 0, the contents of y are added (the residual stream).
// Variants of few rows for software adapters always have ACCUMULATE, since a kernel takes a second to compile there.
//
// SLICED: for results too small to fill a GPU, the third dimension of the launch cuts the inner dimension into slices
// of slice_quads. y is then scratch memory [slices, rows, columns] for the sums of the slices (the first slice includes
// the side product); matmul/reduce.wgsl adds them in order and does the rest.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<WeightWord>;
@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> u: array<FactorWord>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

fn u_quad(index: u32) -> vec4<f32> {
  return factor_quad(u[index]);
}

// The number of quads of the rank that a slice takes.
fn rank_end(slice: u32) -> u32 {
  if (SLICED && slice > 0u) {
    return 0u;
  }
  return parameters.rank_quads;
}

// Consecutive rows of x that are multiplied with the same rows of W, and which of their blocks a workgroup (or an
// invocation) takes. A span without rows has nothing to compute.
struct Span {
  first: u32,
  rows: u32,
  weight_row: u32,
  output_row: u32,
  block: u32,
}

// Loads a quad of the left operand, x or for the side product q: that of a row of the span at k of `depth` quads.
// Returns zeros after the last row and from `end` on. It does so without a branch, so that many such loads are in
// flight together.
fn left_quad(span: Span, is_side: bool, row: u32, k: u32, end: u32, depth: u32) -> vec4<f32> {
  let position = (span.first + min(row, span.rows - 1u)) * depth + min(k, end - 1u);
  var value: vec4<f32>;
  if (is_side) {
    value = q[parameters.q_start + position];
  } else {
    value = x[position];
  }
  return select(vec4<f32>(), value, row < span.rows && k < end);
}

// Loads a quad of the right operand, W or for the side product U, of a column of this launch.
fn right_quad(span: Span, is_side: bool, column: u32, k: u32, end: u32, depth: u32) -> vec4<f32> {
  let position = min(column, parameters.columns - 1u) * depth + min(k, end - 1u);
  var value: vec4<f32>;
  if (is_side) {
    value = u_quad(span.output_row * depth + position);
  } else {
    value = weight_quad(span.weight_row * depth + position);
  }
  return select(vec4<f32>(), value, column < parameters.columns && k < end);
}

// Epilogue of one element, given the sums of both products, the row of x and y, the column of this launch, and the
// slice.
fn finish(base: f32, side: f32, row: u32, column: u32, slice: u32) {
  write(parameters.weight_scale * base + side, row, column, slice);
}
