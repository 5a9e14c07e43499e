// RMSNorm and LayerNorm over rows: y = (x − mean) / sqrt(variance + ε) · gain (+ shift); RMS leaves the mean out.
//
// x, y: rows of `width` f32 that begin `stride` apart, in two buffers; the gaps between the rows become 0 in y. gain
// and shift are in buffers of their own, at gain_offset + probe · gain_stride (and alike), where probe = row /
// rows_per_probe; a stride is 0 if all probes share the vector. GAIN_OFFSET is added to the gain. One workgroup per row.
// It reads x twice, the second time for the centred squares, because E[x²] − E[x]² cancels in f32.

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

var<workgroup> partial: array<f32, 64>;

// The sum over the workgroup. It is added in a fixed tree, so its bits are the same in every run.
fn workgroup_sum(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  partial[lane] = value;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half >>= 1u) {
    if (lane < half) {
      partial[lane] += partial[lane + half];
    }
    workgroupBarrier();
  }
  return partial[0];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = min(group.y * groups.x + group.x, parameters.rows - 1u); // surplus workgroups repeat the last row
  let start = row * parameters.stride;
  var mean = 0.0;
  if (CENTRE) {
    var sum = 0.0;
    for (var i = lane; i < parameters.width; i += 64u) {
      sum += x[start + i];
    }
    mean = workgroup_sum(sum, lane) / f32(parameters.width);
  }
  var squares = 0.0;
  for (var i = lane; i < parameters.width; i += 64u) {
    let centred = x[start + i] - mean;
    squares = fma(centred, centred, squares);
  }
  let scale = inverseSqrt(workgroup_sum(squares, lane) / f32(parameters.width) + parameters.epsilon);
  let probe = row / parameters.rows_per_probe;
  let gain_start = parameters.gain_offset + probe * parameters.gain_stride;
  let shift_start = parameters.shift_offset + probe * parameters.shift_stride;
  for (var i = lane; i < parameters.width; i += 64u) {
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
  for (var i = parameters.width + lane; i < parameters.stride; i += 64u) {
    y[start + i] = 0.0;
  }
}
