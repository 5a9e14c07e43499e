// Causal convolution over the tokens of each sequence, of every channel by itself:
//
//   y[i, c] = ACTIVATION(bias[c] + Σ_k weight[c, TAPS - 1 - k] · input[k tokens before i, c]);   GATED: C[i, c] · the same
//
// y: [rows, channels]. weight [channels, TAPS] lies at weight_offset + probe · weight_stride, bias [channels] alike.
// run_of_row: the run of each row of a probe. Tokens in front of a run are the last rows before it, then the last ones
// of the state, where it is continued, then zeros. See convolution/interface.wgsl for the rest.

struct Parameters {
  rows: u32,
  channels: u32,
  rows_per_probe: u32,
  weight_offset: u32,
  weight_stride: u32,
  bias_offset: u32,
  bias_stride: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> runs: array<u32>;
@group(0) @binding(4) var<storage, read> run_of_row: array<u32>;
@group(0) @binding(5) var<storage, read> state: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(0) @binding(7) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let row = index / parameters.channels;
  let channel = index % parameters.channels;
  if (row >= parameters.rows) {
    return;
  }
  let probe = row / parameters.rows_per_probe;
  let first = probe * parameters.rows_per_probe;
  let own = row - first;
  let run = 6u * run_of_row[own];
  let before = runs[run + 1u] - runs[run];
  let taps = parameters.weight_offset + probe * parameters.weight_stride + channel * TAPS;
  var sum = 0.0;
  if (HAS_BIAS) {
    sum = bias[parameters.bias_offset + probe * parameters.bias_stride + channel];
  }
  for (var back = 0u; back < TAPS; back++) {
    var value = 0.0;
    let inside = own - runs[run + 2u];
    if (back <= inside) {
      value = input_at(row - back, channel);
    } else if (back - inside <= before) {
      value = input_at(first + runs[run + 1u] - (back - inside), channel);
    } else if (runs[run + 5u] != 0u) {
      value = state[state_index(runs[run + 4u], TAPS - 1u + inside + before - back, channel)];
    }
    sum = fma(weight[taps + TAPS - 1u - back], value, sum);
  }
  sum = activate(sum);
  if (GATED) {
    sum *= x[(row * 3u + 1u) * parameters.channels + channel];
  }
  y[index] = sum;
}
