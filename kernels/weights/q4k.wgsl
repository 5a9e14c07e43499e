// Stored weights, q4k: a block is 256 elements of a row in 37 u32. First come d and dmin as f16, then a scale and a
// minimum of one byte each for every 32 elements, then codes, eight in a word with the first one in the lowest bits.
// x = d · scale · code − dmin · minimum; both products are exact.

alias WeightWord = u32;

// Eight quads of a row: where their codes begin, and what they share besides.
struct Run {
  codes: u32,
  scale: f32,
  offset: f32,
}

fn run_of(index: u32) -> Run {
  let block = 37u * (index >> 3u);
  let group = index & 7u;
  let factors = unpack2x16float(weight[block]);
  let pair = weight[block + 1u + (group >> 1u)] >> (16u * (group & 1u));
  let scale = factors.x * f32(pair & 255u);
  let minimum = factors.y * f32((pair >> 8u) & 255u);
  return Run(block + 5u + 4u * group, scale, -minimum);
}

fn run_quad(run: Run, quad: u32) -> vec4<f32> {
  let word = weight[run.codes + (quad >> 1u)] >> (16u * (quad & 1u));
  let codes = (vec4<u32>(word) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
  return fma(vec4<f32>(run.scale), vec4<f32>(codes), vec4<f32>(run.offset));
}

fn weight_quad(index: u32) -> vec4<f32> {
  return run_quad(run_of(index >> 3u), index & 7u);
}
