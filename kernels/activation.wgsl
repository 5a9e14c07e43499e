// The activation function ACTIVATION of one element or of four. Kernels that apply it include this file.

const ACTIVATION_RELU: u32 = 1u;
const ACTIVATION_GELU: u32 = 2u;
const ACTIVATION_GELU_TANH: u32 = 3u;
const ACTIVATION_SILU: u32 = 4u;
const ACTIVATION_RELU_SQUARED: u32 = 5u;
const ACTIVATION_GELU_SIGMOID: u32 = 6u;
const ACTIVATION_SIGMOID: u32 = 7u;

// The complementary error function in Chebyshev form (Numerical Recipes §6.2), |relative error| < 1.2e-7.
fn erf(value: f32) -> f32 {
  let magnitude = abs(value);
  let t = 1.0 / (1.0 + 0.5 * magnitude);
  let polynomial = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
    + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  return sign(value) * (1.0 - t * exp(-magnitude * magnitude + polynomial));
}

fn activate(value: f32) -> f32 {
  if (ACTIVATION == ACTIVATION_RELU) {
    return max(value, 0.0);
  }
  if (ACTIVATION == ACTIVATION_GELU) {
    return 0.5 * value * (1.0 + erf(value * 0.70710678));
  }
  if (ACTIVATION == ACTIVATION_GELU_TANH) {
    // tanh overflows to NaN on some drivers for large arguments; 1 - 2/(e^2z + 1) does not.
    let z = 0.79788456 * (value + 0.044715 * value * value * value);
    return value * (1.0 - 1.0 / (exp(2.0 * min(z, 40.0)) + 1.0));
  }
  if (ACTIVATION == ACTIVATION_SILU) {
    return value / (1.0 + exp(-value));
  }
  if (ACTIVATION == ACTIVATION_RELU_SQUARED) {
    return max(value, 0.0) * max(value, 0.0);
  }
  if (ACTIVATION == ACTIVATION_GELU_SIGMOID) {
    return value / (1.0 + exp(-1.702 * value));
  }
  if (ACTIVATION == ACTIVATION_SIGMOID) {
    return 1.0 / (1.0 + exp(-value));
  }
  return value;
}

fn activate_quad(value: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(activate(value.x), activate(value.y), activate(value.z), activate(value.w));
}
