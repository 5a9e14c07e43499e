// The activation xIELU (Huang et al. 2024), in place, with softplus of two numbers of each layer, p and n, and
// constants:
//
//   x > 0: (softplus(p)·x + beta)·x;   otherwise: (expm1(min(x, epsilon)) − x)·(beta + softplus(n)) + beta·x
//
// x: [rows, width_stored], of which the first `width` elements of a row count and the rest are pads.

struct Parameters {
  count: u32, // elements of x, pads included
  width: u32,
  width_stored: u32,
  rows_per_probe: u32,
  positive: u32,
  positive_stride: u32,
  negative: u32,
  negative_stride: u32,
  beta: f32,
  epsilon: f32,
}

@group(0) @binding(0) var<storage, read> positives: array<f32>;
@group(0) @binding(1) var<storage, read> negatives: array<f32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

fn softplus(value: f32) -> f32 {
  return max(value, 0.0) + log(1.0 + exp(-abs(value)));
}

// e^x − 1 − x of x ≤ 0. The difference itself would lose all digits of a small x.
fn rest_of_exp(value: f32) -> f32 {
  if (value < -0.5) {
    return exp(value) - 1.0 - value;
  }
  let series = 1.0 + value / 3.0 * (1.0 + value / 4.0 * (1.0 + value / 5.0 * (1.0 + value / 6.0 * (1.0 + value / 7.0
    * (1.0 + value / 8.0)))));
  return 0.5 * value * value * series;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let row = index / parameters.width_stored;
  if (index >= parameters.count || index % parameters.width_stored >= parameters.width) {
    return;
  }
  let probe = row / parameters.rows_per_probe;
  let value = x[index];
  if (value > 0.0) {
    let positive = softplus(positives[parameters.positive + probe * parameters.positive_stride]);
    x[index] = fma(positive, value, parameters.beta) * value;
  } else {
    let negative = parameters.beta + softplus(negatives[parameters.negative + probe * parameters.negative_stride]);
    let least = min(value, parameters.epsilon);
    x[index] = fma(rest_of_exp(least) + (least - value), negative, parameters.beta * value);
  }
}
