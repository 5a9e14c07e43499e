// Matrix products of all rows with one weight (matmul/interface.wgsl). A launch takes `rows` rows of x, from row_start
// on. bias: one vector per probe at bias_offset + probe · bias_stride, where probe = row / rows_per_probe.

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
  accumulate: u32,
}

@group(0) @binding(6) var<uniform> parameters: Parameters;

// The rows that block number `block` belongs to, in kernels whose blocks have so many rows.
fn span_of(block: u32, block_rows: u32) -> Span {
  return Span(parameters.row_start, parameters.rows, parameters.weight_row, parameters.output_row, block);
}

// The quads of the inner dimension that a slice takes.
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
  if (ACCUMULATE && parameters.accumulate != 0u) {
    value += y[index];
  }
  y[index] = value;
}
