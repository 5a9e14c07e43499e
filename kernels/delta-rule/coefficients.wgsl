// The four numbers of a token and a head that the delta rule (delta-rule/scan.wgsl) works with:
//
//   (exp(-exp(rate) · softplus(forgetting + bias)), learning_scale · sigmoid(learning),
//    1 / ‖key‖, 1 / (‖query‖ √KEY_WIDTH))
//
// with √(Σx² + ε) as the norms. x: [rows, width] f32 with queries and keys of key_heads heads in front; forgetting,
// learning: [rows, gate_stride]; rate and bias: [heads] at rate_offset + probe · rate_stride and alike. y: [rows,
// heads].

struct Parameters {
  rows: u32,
  heads: u32,
  key_heads: u32,
  width: u32,
  gate_stride: u32,
  rows_per_probe: u32,
  rate_offset: u32,
  rate_stride: u32,
  bias_offset: u32,
  bias_stride: u32,
  key_width: u32, // KEY_WIDTH again, so that compilers do not unroll the loop
  epsilon: f32,
  learning_scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> forgetting: array<f32>;
@group(0) @binding(2) var<storage, read> learning: array<f32>;
@group(0) @binding(3) var<storage, read> rate: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<uniform> parameters: Parameters;

// ln(1 + e^z) = max(z, 0) + 2 artanh(s) with s = t / (2 + t), t = e^-|z|. The series, s ≤ 1/3, is exact to rounding
// where t is so small that 1 + t would lose it.
fn softplus(z: f32) -> f32 {
  let t = exp(-abs(z));
  let s = t / (2.0 + t);
  let q = s * s;
  let series = 1.0 + q * (1.0 / 3.0 + q
    * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0))))));
  return max(z, 0.0) + 2.0 * s * series;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let row = index / parameters.heads;
  let head = index % parameters.heads;
  if (row >= parameters.rows) {
    return;
  }
  let probe = row / parameters.rows_per_probe;
  let query = row * parameters.width + head / (parameters.heads / parameters.key_heads) * KEY_WIDTH;
  let key = query + parameters.key_heads * KEY_WIDTH;
  var squares = vec2<f32>();
  for (var d = 0u; d < parameters.key_width; d++) {
    let pair = vec2<f32>(x[key + d], x[query + d]);
    squares = fma(pair, pair, squares);
  }
  let lengths = inverseSqrt(squares + parameters.epsilon);
  let speed = exp(rate[parameters.rate_offset + probe * parameters.rate_stride + head]);
  let offset = bias[parameters.bias_offset + probe * parameters.bias_stride + head];
  let gate = row * parameters.gate_stride + head;
  y[index] = vec4<f32>(
    exp(-speed * softplus(forgetting[gate] + offset)),
    parameters.learning_scale / (1.0 + exp(-learning[gate])),
    lengths.x,
    lengths.y * inverseSqrt(f32(KEY_WIDTH)),
  );
}
