// What a row's experts give, weighted and added up in the order of their scores, so that its bits depend on the row
// alone: y[row] = scale · Σ_i share_i · x[place of (row, i)].
//
// shares, places: [rows, count]; NORMALISED: shares are divided by their sum. x: [rows · count, 4·width_quads], y:
// [rows, 4·width_quads] f32. One invocation per quad of y.

struct Parameters {
  quads: u32,
  width_quads: u32,
  count: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> shares: array<f32>;
@group(0) @binding(1) var<storage, read> places: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index >= parameters.quads) {
    return;
  }
  let row = index / parameters.width_quads;
  let quad = index % parameters.width_quads;
  let first = row * parameters.count;
  var sum = vec4<f32>();
  var total = 0.0;
  for (var i = first; i < first + parameters.count; i++) {
    total += shares[i];
    sum = fma(vec4<f32>(shares[i]), x[places[i] * parameters.width_quads + quad], sum);
  }
  y[index] = sum * (parameters.scale / select(1.0, total, NORMALISED));
}
