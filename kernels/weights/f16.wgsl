// Stored weights, f16: a quad (four consecutive elements of a row) is two u32, with the first element in the low half.
// This does not need `shader-f16`.

alias WeightWord = vec2<u32>;

fn widen(word: WeightWord) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(word.x), unpack2x16float(word.y));
}

fn weight_quad(index: u32) -> vec4<f32> {
  return widen(weight[index]);
}

// Stochastic rounding compares the 13 mantissa bits that f16 lacks with random ones, so that the mean is exact. Below
// the normal range (2^-14) f16 has a fixed spacing of 2^-24, and the value is rounded on that grid. NaN stays NaN: a
// broken weight must not look like a large one. It is detected by its bits, because compilers may assume that there is
// no NaN.
fn narrow_one(value: f32, random: u32) -> f32 {
  if ((bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u) {
    return value;
  }
  let magnitude = abs(value);
  if (magnitude < 6.103515625e-5) {
    let grid = magnitude * 16777216.0;
    let low = floor(grid);
    let up = f32(random >> 8u) * 5.9604645e-8 < grid - low;
    return sign(value) * select(low, low + 1.0, up) * 5.9604645e-8;
  }
  let rounded = bitcast<f32>((bitcast<u32>(value) + (random & 0x1fffu)) & 0xffffe000u);
  return clamp(rounded, -65504.0, 65504.0);
}

fn narrow(value: vec4<f32>, random: vec4<u32>) -> WeightWord {
  return vec2<u32>(
    pack2x16float(vec2<f32>(narrow_one(value.x, random.x), narrow_one(value.y, random.y))),
    pack2x16float(vec2<f32>(narrow_one(value.z, random.z), narrow_one(value.w, random.w))),
  );
}
