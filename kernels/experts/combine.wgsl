// What a row's experts give, weighted and added up in the order of their scores, so that its bits depend on the row
// alone: y[row] = scale · Σ_i share_i · factor of the i-th expert · (x[place of (row, i)] + bias of the i-th expert).
//
// SCALED: the factors are scales[scales_offset + probe · scales_stride + expert]; 1 otherwise.
// HAS_BIAS: bias[bias_offset + probe · bias_stride + expert · width + column], without pads; chosen: [rows, count], the
// experts.
// shares, places: [rows, count]; NORMALISED: shares are divided by max(their sum, least) + offset. x: [rows · count,
// 4·width_quads], y: [rows, 4·width_quads] f32. One invocation per quad of y.

struct Parameters {
  quads: u32,
  width_quads: u32,
  count: u32,
  scale: f32,
  least: f32,
  offset: f32,
  width: u32,
  rows_per_probe: u32,
  bias_offset: u32,
  bias_stride: u32,
  scales_offset: u32,
  scales_stride: u32,
}

@group(0) @binding(0) var<storage, read> shares: array<f32>;
@group(0) @binding(1) var<storage, read> places: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> chosen: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read> scales: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(7) var<uniform> parameters: Parameters;

// Four elements of a row of biases, zeros behind its end.
fn bias_quad(start: u32, first: u32) -> vec4<f32> {
  let index = vec4<u32>(first, first + 1u, first + 2u, first + 3u);
  let place = start + min(index, vec4<u32>(parameters.width - 1u));
  let values = vec4<f32>(bias[place.x], bias[place.y], bias[place.z], bias[place.w]);
  return select(vec4<f32>(), values, index < vec4<u32>(parameters.width));
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index >= parameters.quads) {
    return;
  }
  let row = index / parameters.width_quads;
  let quad = index % parameters.width_quads;
  let first = row * parameters.count;
  let probe = row / parameters.rows_per_probe;
  let bias_start = parameters.bias_offset + probe * parameters.bias_stride;
  let scales_start = parameters.scales_offset + probe * parameters.scales_stride;
  var sum = vec4<f32>();
  var total = 0.0;
  for (var i = first; i < first + parameters.count; i++) {
    total += shares[i];
    var value = x[places[i] * parameters.width_quads + quad];
    if (HAS_BIAS) {
      value += bias_quad(bias_start + chosen[i] * parameters.width, 4u * quad);
    }
    var share = shares[i];
    if (SCALED) {
      share *= scales[scales_start + chosen[i]];
    }
    sum = fma(vec4<f32>(share), value, sum);
  }
  y[index] = sum * (parameters.scale / select(1.0, max(total, parameters.least) + parameters.offset, NORMALISED));
}
