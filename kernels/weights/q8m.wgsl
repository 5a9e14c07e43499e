// Stored weights, q8m: a block is 32 elements of a row in 10 u32, first scale and minimum as f32, then signed codes,
// four in a word with the first one in the low byte. x = scale · code + minimum.

alias WeightWord = u32;

fn weight_quad(index: u32) -> vec4<f32> {
  let block = 10u * (index >> 3u);
  let scale = bitcast<f32>(weight[block]);
  let minimum = bitcast<f32>(weight[block + 1u]);
  let word = weight[block + 2u + (index & 7u)];
  let codes = bitcast<vec4<i32>>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
  return fma(vec4<f32>(scale), vec4<f32>(codes), vec4<f32>(minimum));
}
