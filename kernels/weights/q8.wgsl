// Stored weights, q8: a block is 64 elements of a row in 17 u32, first the f16 scales of its two halves, then signed
// codes, four in a word with the first one in the low byte. x = scale · code.

alias WeightWord = u32;

fn weight_quad(index: u32) -> vec4<f32> {
  let block = index >> 4u;
  let scales = unpack2x16float(weight[17u * block]);
  let word = weight[index + block + 1u];
  let codes = bitcast<vec4<i32>>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
  return select(scales.x, scales.y, (index & 8u) != 0u) * vec4<f32>(codes);
}
