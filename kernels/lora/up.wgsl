// The second half of LoRA, added to the layer's own output: y[i, c] ← activation(y[i, c] + Σ_j t[i, j] · B_p[c, j]),
// for row i of probe p = i / rows_per_probe.
//
// t: [rows, rank]; B_p: [columns, rank] at b_offset + p · b_stride; y: [rows, columns]. One invocation per element.
//
// BY_ROW: a row i whose factors[factor_start + i] is 0 has the activation of y alone; its t is not read.
// HAS_GAIN: DoRA, whose gain g_c is a factor on all but the bias b_c that y holds already (zero without HAS_BIAS):
// y ← activation(b + g · (y − b + Σ_j t · B)).

struct Parameters {
  rows: u32,
  columns: u32,
  rank: u32,
  rows_per_probe: u32,
  b_offset: u32,
  b_stride: u32,
  factor_start: u32,
  gain_offset: u32,
  bias_offset: u32,
}

@group(0) @binding(0) var<storage, read> t: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> factors: array<f32>;
@group(0) @binding(3) var<storage, read> gain: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let row = index / parameters.columns;
  if (row >= parameters.rows) {
    return;
  }
  let column = index % parameters.columns;
  var value = y[index];
  var has_pair = true;
  if (BY_ROW) {
    has_pair = factors[parameters.factor_start + row] != 0.0;
  }
  if (has_pair) {
    var own = 0.0;
    if (HAS_GAIN && HAS_BIAS) {
      own = bias[parameters.bias_offset + column];
      value -= own;
    }
    let b_start = parameters.b_offset + (row / parameters.rows_per_probe) * parameters.b_stride
      + column * parameters.rank;
    for (var j = 0u; j < parameters.rank; j++) {
      value = fma(t[row * parameters.rank + j], b[b_start + j], value);
    }
    if (HAS_GAIN) {
      value = fma(gain[parameters.gain_offset + column], value, own);
    }
  }
  y[index] = activate(value);
}
