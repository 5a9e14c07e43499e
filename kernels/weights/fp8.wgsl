// Stored weights, fp8: a block is 64 elements of a row in 17 u32, first the scale as f32, then floats of 8 bits (E4M3),
// four in a word with the first one in the low byte. x = scale · code.

alias WeightWord = u32;

// Eight quads of a row: where their codes begin, and what they share besides.
struct Run {
  codes: u32,
  scale: f32,
}

// Exponent and fraction lie in an f32 as they do here, but for the bias of the exponent. Numbers below the normal range
// are counted in units of 2^-9, because GPUs may take those of f32 as zeros.
fn widen_codes(codes: vec4<u32>) -> vec4<f32> {
  let magnitudes = codes & vec4<u32>(0x7fu);
  let normal = bitcast<vec4<f32>>((magnitudes << vec4<u32>(20u)) + vec4<u32>(0x3c000000u));
  let tiny = vec4<f32>(magnitudes) * 0.001953125;
  let finite = select(normal, tiny, magnitudes < vec4<u32>(8u));
  let broken = bitcast<vec4<f32>>(magnitudes | vec4<u32>(0x7fc00000u));
  let values = select(finite, broken, magnitudes == vec4<u32>(0x7fu));
  return select(values, -values, (codes & vec4<u32>(0x80u)) != vec4<u32>(0u));
}

fn run_of(index: u32) -> Run {
  return Run(8u * index + (index >> 1u) + 1u, bitcast<f32>(weight[17u * (index >> 1u)]));
}

fn run_quad(run: Run, quad: u32) -> vec4<f32> {
  let word = weight[run.codes + quad];
  let codes = (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu);
  return run.scale * widen_codes(codes);
}

fn weight_quad(index: u32) -> vec4<f32> {
  return run_quad(run_of(index >> 3u), index & 7u);
}
