// The noise of a stored weight without pads: that of a quad is one block of random numbers. The counter's first word is
// the number of the quad in the weight; see random/padded-quads.wgsl for weights with pads.

fn noise_quad(counter: vec4<u32>, key: vec2<u32>) -> vec4<f32> {
  return gaussian_quad(counter, key);
}

fn noise_quads(counter: vec4<u32>, second_quad: u32, key: vec2<u32>) -> TwoQuads {
  return gaussian_quads(counter, second_quad, key);
}

// Which elements of a quad are no pads.
fn has_noise(quad: u32) -> vec4<bool> {
  return vec4<bool>(true);
}
