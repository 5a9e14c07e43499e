// Stored weights, q4m: a block is 32 elements of a row in 6 u32, first scale and minimum as f32, then codes, eight in a
// word with the first one in the lowest bits. x = scale · code + minimum.

alias WeightWord = u32;

// Eight quads of a row: where their codes begin, and what they share besides.
struct Run {
  codes: u32,
  scale: f32,
  minimum: f32,
}

fn run_of(index: u32) -> Run {
  let block = 6u * index;
  return Run(block + 2u, bitcast<f32>(weight[block]), bitcast<f32>(weight[block + 1u]));
}

fn run_quad(run: Run, quad: u32) -> vec4<f32> {
  let word = weight[run.codes + (quad >> 1u)] >> (16u * (quad & 1u));
  let codes = (vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
  return fma(vec4<f32>(run.scale), vec4<f32>(codes), vec4<f32>(run.minimum));
}

fn weight_quad(index: u32) -> vec4<f32> {
  return run_quad(run_of(index >> 3u), index & 7u);
}
