// Stored weights, q6k: a block is 256 elements of a row in 69 u32. First comes d as f32, then a signed scale of one
// byte for every 16 elements, then signed codes, four in a word with the first one in the low byte. x = d · scale ·
// code.

alias WeightWord = u32;

// Eight quads of a row: where their codes begin, and what they share besides.
struct Run {
  codes: u32,
  scales: vec2<f32>,
}

fn run_of(index: u32) -> Run {
  let block = 69u * (index >> 3u);
  let groups = index & 7u;
  let pair = weight[block + 1u + (groups >> 1u)] >> (16u * (groups & 1u));
  let scales = bitcast<vec2<i32>>(vec2<u32>(pair) << vec2<u32>(24u, 16u)) >> vec2<u32>(24u);
  return Run(block + 5u + 8u * groups, bitcast<f32>(weight[block]) * vec2<f32>(scales));
}

fn run_quad(run: Run, quad: u32) -> vec4<f32> {
  let word = weight[run.codes + quad];
  let codes = bitcast<vec4<i32>>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
  return select(run.scales.x, run.scales.y, quad >= 4u) * vec4<f32>(codes);
}

fn weight_quad(index: u32) -> vec4<f32> {
  return run_quad(run_of(index >> 3u), index & 7u);
}
