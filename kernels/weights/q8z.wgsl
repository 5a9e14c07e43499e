// Stored weights, q8z: a block is 128 elements of a row in 34 u32, first scale and zero as f32, then signed codes, four
// in a word with the first one in the low byte. x = scale · (code − zero).

alias WeightWord = u32;

// Eight quads of a row: where their codes begin, and what they share besides.
struct Run {
  codes: u32,
  scale: f32,
  zero: f32,
}

fn run_of(index: u32) -> Run {
  let block = 34u * (index >> 2u);
  return Run(block + 2u + 8u * (index & 3u), bitcast<f32>(weight[block]), bitcast<f32>(weight[block + 1u]));
}

fn run_quad(run: Run, quad: u32) -> vec4<f32> {
  let word = weight[run.codes + quad];
  let codes = bitcast<vec4<i32>>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
  return run.scale * (vec4<f32>(codes) - run.zero);
}

fn weight_quad(index: u32) -> vec4<f32> {
  return run_quad(run_of(index >> 3u), index & 7u);
}
