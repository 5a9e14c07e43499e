// The middle of the low-rank side product: q[i, a] = scale · Σ_b t[i, b] · S_p[a, b], for row i of probe p = i / rows_per_probe.
//
// t = x Vᵀ… is [rows, 4·rank_quads] from a matmul with the stored Vᵀ; S_p is rank × rank, row-major, at state_offset + p · state_stride of
// the (perturbed) state. scale is μ of docs/method.md. Columns from rank to the padded width are written as zeros.

struct Parameters {
  rows: u32,
  rank: u32,
  rank_quads: u32,
  rows_per_probe: u32,
  state_offset: u32,
  state_stride: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> t: array<f32>;
@group(0) @binding(1) var<storage, read> state: array<f32>;
@group(0) @binding(2) var<storage, read_write> q: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let width = parameters.rank_quads * 4u;
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let row = index / width;
  let a = index % width;
  if (row >= parameters.rows) {
    return;
  }
  var sum = 0.0;
  if (a < parameters.rank) {
    let s = parameters.state_offset + (row / parameters.rows_per_probe) * parameters.state_stride + a * parameters.rank;
    for (var b = 0u; b < parameters.rank; b++) {
      sum = fma(t[row * width + b], state[s + b], sum);
    }
  }
  q[index] = parameters.scale * sum;
}
