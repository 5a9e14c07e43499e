// Stored weights, q6k: a block is 256 elements of a row in 69 u32. First comes d as f32, then a signed scale of one
// byte for every 16 elements, then signed codes, four in a word with the first one in the low byte. x = d · scale ·
// code.

alias WeightWord = u32;

fn weight_quad(index: u32) -> vec4<f32> {
  let block = 69u * (index >> 6u);
  let group = (index >> 2u) & 15u;
  let scales = weight[block + 1u + (group >> 2u)];
  let scale = bitcast<f32>(weight[block]) * f32(bitcast<i32>(scales << (24u - 8u * (group & 3u))) >> 24u);
  let word = weight[block + 5u + (index & 63u)];
  let codes = bitcast<vec4<i32>>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
  return scale * vec4<f32>(codes);
}
