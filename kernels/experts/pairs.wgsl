// What counts the rows of each expert and what puts them in order share: the chunks that rows are divided into.
//
// A chunk is up to CHUNK rows of one probe, each of them with `count` experts.

struct Parameters {
  experts: u32,
  count: u32,
  rows_per_probe: u32,
  chunks_per_probe: u32,
  chunks: u32,
}

// From the first pair of a row and an expert in a chunk to behind the last one.
fn pairs_of(chunk: u32) -> vec2<u32> {
  let first = chunk % parameters.chunks_per_probe * CHUNK;
  let probe_start = chunk / parameters.chunks_per_probe * parameters.rows_per_probe;
  let start = (probe_start + first) * parameters.count;
  let end = (probe_start + min(first + CHUNK, parameters.rows_per_probe)) * parameters.count;
  return vec2<u32>(start, end);
}
