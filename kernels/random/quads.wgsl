// The noise of a stored weight without padding: one block of random numbers per quad. The first word of the counter is
// the index of the quad in the weight. random/padded-quads.wgsl is for weights with padding.

fn noise_quad(counter: vec4<u32>, key: vec2<u32>) -> vec4<f32> {
  return gaussian_quad(counter, key);
}

fn noise_quads(counter: vec4<u32>, second_quad: u32, key: vec2<u32>) -> TwoQuads {
  return gaussian_quads(counter, second_quad, key);
}

// Which elements of a quad are not padding.
fn has_noise(quad: u32) -> vec4<bool> {
  return vec4<bool>(true);
}
