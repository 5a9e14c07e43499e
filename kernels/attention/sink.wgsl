// Attention sinks: a score of each head that takes part in the softmax and has no value. Online softmaxes begin with it
// as their highest score, of weight 1, where SINKS; without, they begin with none.

@group(0) @binding(5) var<storage, read> sinks: array<f32>;

// The sink of a head as a probe sees it.
fn sink_of(probe: u32, head: u32) -> f32 {
  if (SINKS) {
    return sinks[parameters.sink_offset + probe * parameters.sink_stride + head];
  }
  return -3.0e38;
}

const SINK_WEIGHT: f32 = select(0.0, 1.0, SINKS);
