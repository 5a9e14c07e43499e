// Rotary position embedding of queries and keys, in place: each pair (a, b) of a head's first rotary_width elements is
// rotated by the angle of its position.
//
// query: [rows, heads · head_stride] f32, the heads one after the other; key: [rows, key_heads · head_stride]. table:
// [positions, rotary_width] with cos, then sin, of every pair. The CPU computes it in f64, so that every scaling rule
// (linear, dynamic, llama3, yarn) is only another table. The position of row i is positions[i mod input_rows].
// INTERLEAVED pairs are (2i, 2i+1); otherwise a pair is (i, i + rotary_width/2), as in Hugging Face's Llama. An
// invocation turns one pair of heads_at_once heads of a row (queries first, then keys), for which it loads the angle
// once.

struct Parameters {
  rows: u32,
  heads: u32,
  key_heads: u32,
  head_stride: u32,
  rotary_width: u32,
  input_rows: u32,
  heads_at_once: u32,
}

@group(0) @binding(0) var<storage, read> positions: array<u32>;
@group(0) @binding(1) var<storage, read> table: array<f32>;
@group(0) @binding(2) var<storage, read_write> query: array<f32>;
@group(0) @binding(3) var<storage, read_write> key: array<f32>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

fn turn(a: f32, b: f32, cosine: f32, sine: f32) -> vec2<f32> {
  return vec2<f32>(a * cosine - b * sine, b * cosine + a * sine);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let pairs = parameters.rotary_width / 2u;
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let pair = index % pairs;
  let heads = parameters.heads + parameters.key_heads;
  let blocks = (heads + parameters.heads_at_once - 1u) / parameters.heads_at_once;
  let row = index / pairs / blocks;
  if (row >= parameters.rows) {
    return;
  }
  let first_head = (index / pairs % blocks) * parameters.heads_at_once;
  let end_head = min(first_head + parameters.heads_at_once, heads);
  let entry = positions[row % parameters.input_rows] * parameters.rotary_width;
  let cosine = table[entry + pair];
  let sine = table[entry + pairs + pair];
  var first = pair;
  var second = pair + pairs;
  if (INTERLEAVED) {
    first = 2u * pair;
    second = first + 1u;
  }
  for (var head = first_head; head < min(end_head, parameters.heads); head++) {
    let start = (row * parameters.heads + head) * parameters.head_stride;
    let turned = turn(query[start + first], query[start + second], cosine, sine);
    query[start + first] = turned.x;
    query[start + second] = turned.y;
  }
  for (var head = max(first_head, parameters.heads) - parameters.heads; head + parameters.heads < end_head; head++) {
    let start = (row * parameters.key_heads + head) * parameters.head_stride;
    let turned = turn(key[start + first], key[start + second], cosine, sine);
    key[start + first] = turned.x;
    key[start + second] = turned.y;
  }
}
