// Stored weights, q4k: a block is 256 elements of a row in 37 u32. First come d and dmin as f16, then a scale and a
// minimum of one byte each for every 32 elements, then codes, eight in a word with the first one in the lowest bits.
// x = d · scale · code − dmin · minimum; both products are exact.

alias WeightWord = u32;

fn weight_quad(index: u32) -> vec4<f32> {
  let block = 37u * (index >> 6u);
  let factors = unpack2x16float(weight[block]);
  let group = (index >> 3u) & 7u;
  let pair = weight[block + 1u + (group >> 1u)] >> (16u * (group & 1u));
  let scale = factors.x * f32(pair & 255u);
  let minimum = factors.y * f32((pair >> 8u) & 255u);
  let word = weight[block + 5u + ((index & 63u) >> 1u)] >> (16u * (index & 1u));
  let codes = (vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
  return fma(vec4<f32>(scale), vec4<f32>(codes), vec4<f32>(-minimum));
}
