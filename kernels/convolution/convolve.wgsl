// Causal convolution over the tokens of each sequence, of every channel by itself:
//
//   y[i, c] = ACTIVATION(bias[c] + Σ_k weight[c, TAPS - 1 - k] · input[k tokens before i, c]);
//   GATED: C[i, c] · the same
//
// y: [rows, channels]. weight [channels, TAPS] lies at weight_offset + probe · weight_stride, bias [channels] alike.
// run_of_row: the run of row i is run_of_row[i mod input_rows]; runs count their rows as i mod input_rows does. Tokens
// in front of a run are the last rows before it, then the last ones of the state that it goes on from, if any, then
// zeros. An invocation takes four channels of up to ROWS rows of a probe, so that it loads their weights once. See
// convolution/interface.wgsl for the rest.

struct Parameters {
  probes: u32,
  quads: u32, // of channels
  blocks: u32, // of rows of a probe
  rows_per_probe: u32,
  input_rows: u32,
  weight_offset: u32,
  weight_stride: u32,
  bias_offset: u32,
  bias_stride: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> runs: array<u32>;
@group(0) @binding(4) var<storage, read> run_of_row: array<u32>;
@group(0) @binding(5) var<storage, read> state: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(7) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let quads = parameters.quads;
  let quad = index % quads;
  let block = index / quads % parameters.blocks;
  let probe = index / quads / parameters.blocks;
  if (probe >= parameters.probes) {
    return;
  }
  var taps: array<vec4<f32>, TAPS>;
  for (var tap = 0u; tap < TAPS; tap++) {
    let start = parameters.weight_offset + probe * parameters.weight_stride + 4u * quad * TAPS + tap;
    taps[tap] = vec4<f32>(weight[start], weight[start + TAPS], weight[start + 2u * TAPS], weight[start + 3u * TAPS]);
  }
  var offset = vec4<f32>();
  if (HAS_BIAS) {
    let start = parameters.bias_offset + probe * parameters.bias_stride + 4u * quad;
    offset = vec4<f32>(bias[start], bias[start + 1u], bias[start + 2u], bias[start + 3u]);
  }
  let first = probe * parameters.rows_per_probe;
  let end = min((block + 1u) * ROWS, parameters.rows_per_probe);
  for (var own = block * ROWS; own < end; own++) {
    let row = first + own;
    let entry = row % parameters.input_rows;
    let run = 6u * run_of_row[entry];
    let inside = entry - runs[run + 2u];
    var sum = offset;
    for (var back = 0u; back < TAPS; back++) {
      var value = vec4<f32>();
      if (back <= inside) {
        value = input_at(row - back, quad);
      } else {
        let before = runs[run + 1u] - runs[run];
        if (back - inside <= before) {
          value = input_at(row - entry + runs[run + 1u] - (back - inside), quad);
        } else if (runs[run + 5u] != 0u) {
          value = state[state_index(runs[run + 5u] - 1u, TAPS - 1u + inside + before - back, quad)];
        }
      }
      sum = fma(taps[TAPS - 1u - back], value, sum);
    }
    sum = vec4<f32>(activate(sum.x), activate(sum.y), activate(sum.z), activate(sum.w));
    if (GATED) {
      sum *= x[(row * 3u + 1u) * quads + quad];
    }
    y[row * quads + quad] = sum;
  }
}
