// Factors of a low-rank change (LowRankFactors in src/ops/probes.ts) in f32: a quad of a row is one word.

alias FactorWord = vec4<f32>;

fn factor_quad(word: FactorWord) -> vec4<f32> {
  return word;
}

fn factor_word(value: vec4<f32>) -> FactorWord {
  return value;
}
