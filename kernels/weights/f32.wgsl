// Stored weights, f32: a quad (four consecutive elements of a row) is one word.

alias WeightWord = vec4<f32>;

fn widen(word: WeightWord) -> vec4<f32> {
  return word;
}

fn weight_quad(index: u32) -> vec4<f32> {
  return widen(weight[index]);
}

fn narrow(value: vec4<f32>, random: vec4<u32>) -> WeightWord {
  return value;
}
