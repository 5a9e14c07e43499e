// Stored weights, q4: a block is 64 elements of a row in 9 u32, first the f16 scales of its two halves, then codes,
// eight in a word with the first one in the lowest bits. x = scale · (code − 8).

alias WeightWord = u32;

// Eight quads of a row: where their codes begin, and what they share besides.
struct Run {
  codes: u32,
  scale: f32,
}

fn run_of(index: u32) -> Run {
  let scales = unpack2x16float(weight[9u * (index >> 1u)]);
  return Run(4u * index + (index >> 1u) + 1u, select(scales.x, scales.y, (index & 1u) != 0u));
}

fn run_quad(run: Run, quad: u32) -> vec4<f32> {
  let word = weight[run.codes + (quad >> 1u)] >> (16u * (quad & 1u));
  let codes = vec4<i32>((vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u)) - 8;
  return run.scale * vec4<f32>(codes);
}

fn weight_quad(index: u32) -> vec4<f32> {
  return run_quad(run_of(index >> 3u), index & 7u);
}
