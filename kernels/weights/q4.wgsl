// Stored weights, q4: a block is 64 elements of a row in 9 u32, first the f16 scales of its two halves, then codes,
// eight in a word with the first one in the lowest bits. x = scale · (code − 8).

alias WeightWord = u32;

fn weight_quad(index: u32) -> vec4<f32> {
  let block = 9u * (index >> 4u);
  let scales = unpack2x16float(weight[block]);
  let word = weight[block + 1u + ((index & 15u) >> 1u)] >> (16u * (index & 1u));
  let codes = vec4<i32>((vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u)) - 8;
  return select(scales.x, scales.y, (index & 8u) != 0u) * vec4<f32>(codes);
}
