// The gates of experts whose gate and up are one projection, with the bias of each pair's expert and probe:
//
//   y[place, i] = (u + UP_OFFSET) · ACTIVATION(g)       or, CLAMPED, of the activation g · sigmoid(gain · g) with
//   g ← min(g, limit), u ← clamp(u, −limit, limit), and UP_OFFSET = 1
//
// packed: [places, packed_stride]; g and u are elements 2i and 2i + 1 of a row if INTERLEAVED, otherwise i and up_start
// + i. HAS_BIAS: bias[bias_offset + probe · bias_stride + expert · 2 · width + …], without pads. y: [places, y_stride],
// zeros from `width` on. order, chosen: as in experts/rotate.wgsl. One invocation per element of y.

struct Parameters {
  elements: u32,
  width: u32,
  y_stride: u32,
  packed_stride: u32,
  up_start: u32,
  count: u32,
  rows_per_probe: u32,
  bias_offset: u32,
  bias_stride: u32,
  limit: f32,
  gain: f32,
}

@group(0) @binding(0) var<storage, read> order: array<u32>;
@group(0) @binding(1) var<storage, read> chosen: array<u32>;
@group(0) @binding(2) var<storage, read> packed: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index >= parameters.elements) {
    return;
  }
  let place = index / parameters.y_stride;
  let i = index % parameters.y_stride;
  if (i >= parameters.width) {
    y[index] = 0.0;
    return;
  }
  let start = place * parameters.packed_stride;
  var gate = packed[start + select(i, 2u * i, INTERLEAVED)];
  var up = packed[start + select(parameters.up_start + i, 2u * i + 1u, INTERLEAVED)];
  if (HAS_BIAS) {
    let pair = order[place];
    let probe = pair / parameters.count / parameters.rows_per_probe;
    let first = parameters.bias_offset + probe * parameters.bias_stride + chosen[pair] * 2u * parameters.width;
    gate += bias[first + select(i, 2u * i, INTERLEAVED)];
    up += bias[first + select(parameters.width + i, 2u * i + 1u, INTERLEAVED)];
  }
  if (CLAMPED) {
    gate = min(gate, parameters.limit);
    up = clamp(up, -parameters.limit, parameters.limit);
    y[index] = (up + 1.0) * (gate / (1.0 + exp(-parameters.gain * gate)));
  } else {
    y[index] = up * activate(gate);
  }
}
