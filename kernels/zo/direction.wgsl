// The perturbation direction of a step at four elements: the noise z as it is, masked or scaled. Kernels that need it
// include this file.
//
// DIRECTION_MASKED (Sparse MeZO): z where |value| ≤ threshold, 0 elsewhere; value is the current parameter.
// DIRECTION_CURVED (HiZOO): z / √H. H is stored as its logarithm: near 1 an f32 H would lose changes below 6e-8, and
// the change of one step is that small.

const DIRECTION_MASKED: u32 = 1u;
const DIRECTION_CURVED: u32 = 2u;

fn direction(z: vec4<f32>, value: vec4<f32>, threshold: f32, log_curvature: vec4<f32>) -> vec4<f32> {
  if (DIRECTION == DIRECTION_MASKED) {
    return select(vec4<f32>(0.0), z, abs(value) <= vec4<f32>(threshold));
  }
  if (DIRECTION == DIRECTION_CURVED) {
    return z * exp(-0.5 * log_curvature);
  }
  return z;
}
