// What a convolution over tokens reads: x and the runs of rows that belong together. Channels come in vectors of four.
//
// x: [rows, channels] f32; GATED: [rows, 3 · channels] with B, C and the values, and the input is B · value. runs: six
// u32 for each run of rows, which are those of any probe or, with inputs of its own for each, of all of them: the rows
// before it [r₀, r₁), its own rows [r₂, r₃), the number of its state, and one more than the number of the state that
// the tokens in front of all of them left, 0 if there are none. A state holds the last TAPS - 1 inputs [TAPS - 1,
// channels], the latest one last.

fn input_at(row: u32, quad: u32) -> vec4<f32> {
  if (GATED) {
    let start = row * 3u * parameters.quads + quad;
    return x[start] * x[start + 2u * parameters.quads];
  }
  return x[row * parameters.quads + quad];
}

fn state_index(state: u32, place: u32, quad: u32) -> u32 {
  return (state * (TAPS - 1u) + place) * parameters.quads + quad;
}
