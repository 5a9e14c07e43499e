// Stored weights, nf4: a block is 64 elements of a row in 9 u32, first the scale as f32, then codes, eight in a word
// with the first one in the lowest bits. x = scale · table[code].

alias WeightWord = u32;

// Eight quads of a row: where their codes begin, and what they share besides.
struct Run {
  codes: u32,
  scale: f32,
}

const code_values = array<f32, 16>(
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
);

fn run_of(index: u32) -> Run {
  return Run(4u * index + (index >> 1u) + 1u, bitcast<f32>(weight[9u * (index >> 1u)]));
}

fn run_quad(run: Run, quad: u32) -> vec4<f32> {
  let word = weight[run.codes + (quad >> 1u)] >> (16u * (quad & 1u));
  let codes = (vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
  let values = vec4<f32>(code_values[codes.x], code_values[codes.y], code_values[codes.z], code_values[codes.w]);
  return run.scale * values;
}

fn weight_quad(index: u32) -> vec4<f32> {
  return run_quad(run_of(index >> 3u), index & 7u);
}
