// Factors of a low-rank change (LowRankFactors in src/ops/probes.ts) in f16: a quad of a row is two u32, with the first
// element in the low half. This does not need `shader-f16`.

alias FactorWord = vec2<u32>;

fn factor_quad(word: FactorWord) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(word.x), unpack2x16float(word.y));
}

// Rounds to the nearest f16, ties to even, by the bits of the value: how `pack2x16float` rounds is left to the adapter,
// and what it is given here is exact. Below the normal range (2^-14) f16 has a fixed spacing of 2^-24.
fn nearest_half(value: f32) -> f32 {
  if (abs(value) < 6.103515625e-5) {
    return round(value * 16777216.0) * 5.9604644775390625e-8;
  }
  let bits = bitcast<u32>(value);
  return bitcast<f32>((bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u);
}

fn factor_word(value: vec4<f32>) -> FactorWord {
  return vec2<u32>(
    pack2x16float(vec2<f32>(nearest_half(value.x), nearest_half(value.y))),
    pack2x16float(vec2<f32>(nearest_half(value.z), nearest_half(value.w))),
  );
}
