// ALiBi (Press et al. 2022): where ALIBI, every score falls with the distance of its key, by the slope of the head.
//
// The keys that a row of a causal model sees are tokens one after the other, the first range before the second, and the
// last of them is the row's own. So a key's order among them says how far away it is, and positions are not needed.

@group(0) @binding(6) var<storage, read> slopes: array<f32>;

// The order among the keys of a row of one key, in the first range (side 0) or the second one.
fn order_of(range: vec4<u32>, side: u32, key: u32) -> u32 {
  return select(range.y - range.x + key - range.z, key - range.x, side == 0u);
}

// The nearest bfloat16, of two the even one.
fn to_bfloat16(value: f32) -> f32 {
  let bits = bitcast<u32>(value);
  return bitcast<f32>((bits + 0x7fffu + ((bits >> 16u) & 1u)) & 0xffff0000u);
}

// The score of the key with this order among those of a row.
fn with_alibi(score: f32, head: u32, range: vec4<u32>, order: u32) -> f32 {
  if (!ALIBI) {
    return score;
  }
  let slope = slopes[head];
  let last = range.y - range.x + range.w - range.z - 1u;
  if (ALIBI_ROUNDED) {
    // Without a window the order is the position. What the last key has is taken off all, which keeps scores small and
    // changes no softmax.
    let own = to_bfloat16(slope * to_bfloat16(f32(order)));
    return score + parameters.alibi_scale * (own - to_bfloat16(slope * to_bfloat16(f32(last))));
  }
  return score - parameters.alibi_scale * slope * f32(last - order);
}
