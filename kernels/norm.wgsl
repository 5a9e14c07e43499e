// RMSNorm and LayerNorm over rows: y = (x − mean) / sqrt(variance + ε) · gain (+ shift); RMS leaves the mean out.
//
// x, y: rows of `width` f32 that begin `stride` apart, in two buffers; the gaps between the rows become 0 in y. gain
// and shift are in buffers of their own, at gain_offset + probe · gain_stride (and alike), where probe = row /
// rows_per_probe; a stride is 0 if all probes share the vector. GAIN_OFFSET is added to the gain. A workgroup takes a
// row. It reads x twice, the second time for the centred squares, because E[x²] − E[x]² cancels in f32.

const LANES: u32 = 64u;

var<workgroup> partial: array<f32, LANES>;

// The sum over the workgroup. It is added in a fixed tree, so its bits are the same in every run.
fn workgroup_sum(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  partial[lane] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half >>= 1u) {
    if (lane < half) {
      partial[lane] += partial[lane + half];
    }
    workgroupBarrier();
  }
  return partial[0];
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = min(group.y * groups.x + group.x, parameters.rows - 1u); // surplus workgroups repeat the last row
  let start = row * parameters.stride;
  var mean = 0.0;
  if (CENTRE) {
    var sum = 0.0;
    for (var i = lane; i < parameters.width; i += LANES) {
      sum += x[start + i];
    }
    mean = workgroup_sum(sum, lane) / f32(parameters.width);
  }
  var squares = 0.0;
  for (var i = lane; i < parameters.width; i += LANES) {
    let centred = x[start + i] - mean;
    squares = fma(centred, centred, squares);
  }
  let scale = inverseSqrt(workgroup_sum(squares, lane) / f32(parameters.width) + parameters.epsilon);
  write_row(row, lane, mean, scale);
}
