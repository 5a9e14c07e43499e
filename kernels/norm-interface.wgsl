// What the variants of a norm share: the bindings, and how a row is written once its mean and scale are known.
//
// norm.wgsl says what is computed. A variant declares LANES, the invocations that share a row.

struct Parameters {
  rows: u32,
  width: u32,
  stride: u32,
  rows_per_probe: u32,
  gain_offset: u32,
  gain_stride: u32,
  shift_offset: u32,
  shift_stride: u32,
  epsilon: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gain: array<f32>;
@group(0) @binding(2) var<storage, read> shift: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

// Writes a row, each lane every LANES-th element of it.
fn write_row(row: u32, lane: u32, mean: f32, scale: f32) {
  let start = row * parameters.stride;
  let probe = row / parameters.rows_per_probe;
  let gain_start = parameters.gain_offset + probe * parameters.gain_stride;
  let shift_start = parameters.shift_offset + probe * parameters.shift_stride;
  for (var i = lane; i < parameters.width; i += LANES) {
    var value = (x[start + i] - mean) * scale;
    if (HAS_GAIN) {
      let stored = gain[gain_start + i];
      value *= select(stored, GAIN_OFFSET + stored, GAIN_OFFSET != 0.0);
    }
    if (HAS_SHIFT) {
      value += shift[shift_start + i];
    }
    y[start + i] = value;
  }
  for (var i = parameters.width + lane; i < parameters.stride; i += LANES) {
    y[start + i] = 0.0;
  }
}
