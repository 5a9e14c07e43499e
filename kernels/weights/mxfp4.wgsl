// Stored weights, mxfp4: a block is 64 elements of a row in 9 u32, first the exponents of its two halves, a byte each,
// then codes, eight in a word with the first one in the lowest bits. A code is a sign and a float of three bits, whose
// doubled magnitude is 0, 1, 2, 3, 4, 6, 8 or 12. x = 2^(exponent − 128) · doubled, by two factors, since one may be
// no normal number where x is.

alias WeightWord = u32;

fn weight_quad(index: u32) -> vec4<f32> {
  let block = 9u * (index >> 4u);
  let exponent = (weight[block] >> (index & 8u)) & 255u;
  let word = weight[block + 1u + ((index & 15u) >> 1u)] >> (16u * (index & 1u));
  let codes = (vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
  let magnitudes = codes & vec4<u32>(7u);
  let shifts = max(magnitudes >> vec4<u32>(1u), vec4<u32>(1u)) - vec4<u32>(1u);
  let large = ((magnitudes & vec4<u32>(1u)) | vec4<u32>(2u)) << shifts;
  let doubled = vec4<f32>(select(large, magnitudes, magnitudes < vec4<u32>(2u)));
  let values = select(doubled, -doubled, (codes & vec4<u32>(8u)) != vec4<u32>(0u));
  let half = exponent >> 1u;
  return values * bitcast<f32>((half + 63u) << 23u) * bitcast<f32>((exponent - half + 63u) << 23u);
}
