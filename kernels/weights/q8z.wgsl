// Stored weights, q8z: a block is 128 elements of a row in 34 u32, first scale and zero as f32, then signed codes, four
// in a word with the first one in the low byte. x = scale · (code − zero).

alias WeightWord = u32;

fn weight_quad(index: u32) -> vec4<f32> {
  let block = 34u * (index >> 5u);
  let word = weight[block + 2u + (index & 31u)];
  let codes = bitcast<vec4<i32>>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
  return bitcast<f32>(weight[block]) * (vec4<f32>(codes) - bitcast<f32>(weight[block + 1u]));
}
