// Stored weights, q4z: a block is 128 elements of a row in 18 u32, first scale and zero as f32, then codes, eight in a
// word with the first one in the lowest bits. x = scale · (code − zero).

alias WeightWord = u32;

fn weight_quad(index: u32) -> vec4<f32> {
  let block = 18u * (index >> 5u);
  let word = weight[block + 2u + ((index & 31u) >> 1u)] >> (16u * (index & 1u));
  let codes = (vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
  return bitcast<f32>(weight[block]) * (vec4<f32>(codes) - bitcast<f32>(weight[block + 1u]));
}
