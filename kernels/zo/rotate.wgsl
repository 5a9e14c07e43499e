// The middle of the low-rank side product: q[i, a] = scale · Σ_b t[i, b] · S_p[a, b], for row i of probe p = i / rows_per_probe.
//
// t = x Vᵀ… is [rows, 4·rank_quads] from a matmul with the stored Vᵀ; S_p is rank × rank, row-major, at state_offset + p · state_stride of
// the (perturbed) state. scale is μ of docs/method.md. Columns from rank to the padded width are zeros in t, and are written as zeros.
// An invocation takes one column of four rows of a probe, so that what it reads of S serves four rows.

struct Parameters {
  rank: u32,
  rank_quads: u32,
  rows_per_probe: u32,
  blocks_per_probe: u32,
  blocks: u32,
  state_offset: u32,
  state_stride: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> t: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> state: array<f32>;
@group(0) @binding(2) var<storage, read_write> q: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let width = parameters.rank_quads * 4u;
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let block = index / width;
  let a = index % width;
  if (block >= parameters.blocks) {
    return;
  }
  let probe = block / parameters.blocks_per_probe;
  let first = probe * parameters.rows_per_probe + (block % parameters.blocks_per_probe) * 4u;
  let last = (probe + 1u) * parameters.rows_per_probe - 1u;
  let rows = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last));
  var sum = vec4<f32>(0.0);
  if (a < parameters.rank) {
    let s = parameters.state_offset + probe * parameters.state_stride + a * parameters.rank;
    let starts = rows * parameters.rank_quads;
    for (var quad = 0u; quad < parameters.rank_quads; quad++) {
      let one = t[starts.x + quad];
      let two = t[starts.y + quad];
      let three = t[starts.z + quad];
      let four = t[starts.w + quad];
      let b = quad * 4u;
      // Behind the last column lies another row of S, or another tensor.
      let end = parameters.rank - 1u;
      sum = fma(vec4<f32>(one.x, two.x, three.x, four.x), vec4<f32>(state[s + b]), sum);
      sum = fma(vec4<f32>(one.y, two.y, three.y, four.y), vec4<f32>(state[s + min(b + 1u, end)]), sum);
      sum = fma(vec4<f32>(one.z, two.z, three.z, four.z), vec4<f32>(state[s + min(b + 2u, end)]), sum);
      sum = fma(vec4<f32>(one.w, two.w, three.w, four.w), vec4<f32>(state[s + min(b + 3u, end)]), sum);
    }
  }
  sum *= parameters.scale;
  for (var i = 0u; i < 4u; i++) {
    if (first + i <= last) {
      q[(first + i) * width + a] = sum[i];
    }
  }
}
