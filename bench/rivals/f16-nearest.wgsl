// Stored weights, f16, rounded to the nearest as an in-place method on 16-bit tensors has it; otherwise as
// kernels/weights/f16.wgsl.

alias WeightWord = vec2<u32>;

fn widen(word: WeightWord) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(word.x), unpack2x16float(word.y));
}

fn narrow(value: vec4<f32>, random: vec4<u32>) -> WeightWord {
  return vec2<u32>(pack2x16float(value.xy), pack2x16float(value.zw));
}
