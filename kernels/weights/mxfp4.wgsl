// Stored weights, mxfp4: a block is 64 elements of a row in 9 u32, first the exponents of its two halves, a byte each,
// then codes, eight in a word with the first one in the lowest bits. A code is a sign and a float of three bits, whose
// doubled magnitude is 0, 1, 2, 3, 4, 6, 8 or 12. x = 2^(exponent − 128) · doubled, by two factors, since one may be
// no normal number where x is.

alias WeightWord = u32;

// Eight quads of a row: where their codes begin, and what they share besides.
struct Run {
  codes: u32,
  factors: vec2<f32>,
}

fn run_of(index: u32) -> Run {
  let exponent = (weight[9u * (index >> 1u)] >> (8u * (index & 1u))) & 255u;
  let half = exponent >> 1u;
  let factors = bitcast<vec2<f32>>(vec2<u32>(half + 63u, exponent - half + 63u) << vec2<u32>(23u));
  return Run(4u * index + (index >> 1u) + 1u, factors);
}

// The doubled magnitudes are the digits of a number, the first one in the lowest bits.
fn run_quad(run: Run, quad: u32) -> vec4<f32> {
  let word = weight[run.codes + (quad >> 1u)] >> (16u * (quad & 1u));
  let codes = vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u);
  let doubled = (vec4<u32>(0xc8643210u) >> ((codes & vec4<u32>(7u)) << vec4<u32>(2u))) & vec4<u32>(15u);
  let signs = (codes & vec4<u32>(8u)) << vec4<u32>(28u);
  return bitcast<vec4<f32>>(bitcast<vec4<u32>>(vec4<f32>(doubled)) | signs) * run.factors.x * run.factors.y;
}

fn weight_quad(index: u32) -> vec4<f32> {
  return run_quad(run_of(index >> 3u), index & 7u);
}
