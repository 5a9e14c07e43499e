// Stored weights, q4m: a block is 32 elements of a row in 6 u32, first scale and minimum as f32, then codes, eight in a
// word with the first one in the lowest bits. x = scale · code + minimum.

alias WeightWord = u32;

fn weight_quad(index: u32) -> vec4<f32> {
  let block = 6u * (index >> 3u);
  let scale = bitcast<f32>(weight[block]);
  let minimum = bitcast<f32>(weight[block + 1u]);
  let word = weight[block + 2u + ((index & 7u) >> 1u)] >> (16u * (index & 1u));
  let codes = (vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
  return fma(vec4<f32>(scale), vec4<f32>(codes), vec4<f32>(minimum));
}
