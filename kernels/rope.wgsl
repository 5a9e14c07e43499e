// Rotary position embedding, in place: each pair (a, b) of a head's first rotary_width elements is turned by its position's angle.
//
// x: [rows, row_stride] f32, `heads` heads of head_width each, one after the other. table: [positions, rotary_width] with cos then sin of every
// pair, made on the CPU in f64 so that every scaling rule (linear, dynamic, llama3, yarn) is only another table.
// positions[i mod rows_per_probe]. INTERLEAVED pairs (2i, 2i+1); otherwise the pair is (i, i + rotary_width/2), as in Hugging Face's Llama.

struct Parameters {
  rows: u32,
  row_stride: u32,
  heads: u32,
  head_width: u32,
  rotary_width: u32,
  rows_per_probe: u32,
}

@group(0) @binding(0) var<storage, read> positions: array<u32>;
@group(0) @binding(1) var<storage, read> table: array<f32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let pairs = parameters.rotary_width / 2u;
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let pair = index % pairs;
  let head = (index / pairs) % parameters.heads;
  let row = index / (pairs * parameters.heads);
  if (row >= parameters.rows) {
    return;
  }
  let entry = positions[row % parameters.rows_per_probe] * parameters.rotary_width;
  let cosine = table[entry + pair];
  let sine = table[entry + pairs + pair];
  let start = row * parameters.row_stride + head * parameters.head_width;
  var first = start + pair;
  var second = first + pairs;
  if (INTERLEAVED) {
    first = start + 2u * pair;
    second = first + 1u;
  }
  let a = x[first];
  let b = x[second];
  x[first] = a * cosine - b * sine;
  x[second] = b * cosine + a * sine;
}
