// Stored weights, bf16: a quad (four consecutive elements of a row) is two u32, with the first element in the low half.
// WGSL has no bf16, but bf16 bits are the upper half of an f32, so widening is a shift and is exact.

alias WeightWord = vec2<u32>;

fn widen(word: WeightWord) -> vec4<f32> {
  return vec4<f32>(
    bitcast<f32>(word.x << 16u),
    bitcast<f32>(word.x & 0xffff0000u),
    bitcast<f32>(word.y << 16u),
    bitcast<f32>(word.y & 0xffff0000u),
  );
}

fn weight_quad(index: u32) -> vec4<f32> {
  return widen(weight[index]);
}

// Stochastic rounding adds 16 random bits below the mantissa that stays, then truncates. The mean is exact. Infinity
// and NaN are returned unchanged: they have nothing to round, and the sum could wrap a NaN around to zero.
fn narrow_one(value: f32, random: u32) -> u32 {
  let bits = bitcast<u32>(value);
  let finite = (bits & 0x7f800000u) != 0x7f800000u;
  return (bits + select(0u, random & 0xffffu, finite)) >> 16u;
}

fn narrow(value: vec4<f32>, random: vec4<u32>) -> WeightWord {
  return vec2<u32>(
    narrow_one(value.x, random.x) | (narrow_one(value.y, random.y) << 16u),
    narrow_one(value.z, random.z) | (narrow_one(value.w, random.w) << 16u),
  );
}
