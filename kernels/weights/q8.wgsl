// Stored weights, q8: a block is 64 elements of a row in 17 u32, first the f16 scales of its two halves, then signed
// codes, four in a word with the first one in the low byte. x = scale · code.

alias WeightWord = u32;

// Eight quads of a row: where their codes begin, and what they share besides.
struct Run {
  codes: u32,
  scale: f32,
}

fn run_of(index: u32) -> Run {
  let scales = unpack2x16float(weight[17u * (index >> 1u)]);
  return Run(8u * index + (index >> 1u) + 1u, select(scales.x, scales.y, (index & 1u) != 0u));
}

fn run_quad(run: Run, quad: u32) -> vec4<f32> {
  let word = weight[run.codes + quad];
  let codes = bitcast<vec4<i32>>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
  return run.scale * vec4<f32>(codes);
}

fn weight_quad(index: u32) -> vec4<f32> {
  return run_quad(run_of(index >> 3u), index & 7u);
}
