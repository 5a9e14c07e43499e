// The first half of LoRA: t[i, j] = scale · f_i · Σ_k x[i, k] · A_p[j, k], for row i of probe p = i / rows_per_probe.
//
// x: [rows, 4·inner_quads]; A_p: [rank, 4·inner_quads] at quad a_quads + p · a_stride_quads; t: [rows, rank]. One
// invocation per element. BY_ROW: f_i is factors[factor_start + i], and t of a row whose factor is 0 is not written;
// otherwise it is 1.

struct Parameters {
  rows: u32,
  rank: u32,
  inner_quads: u32,
  rows_per_probe: u32,
  a_quads: u32,
  a_stride_quads: u32,
  factor_start: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> factors: array<f32>;
@group(0) @binding(3) var<storage, read_write> t: array<f32>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let row = index / parameters.rank;
  if (row >= parameters.rows) {
    return;
  }
  var scale = parameters.scale;
  if (BY_ROW) {
    let factor = factors[parameters.factor_start + row];
    if (factor == 0.0) {
      return;
    }
    scale *= factor;
  }
  let x_start = row * parameters.inner_quads;
  let a_start = parameters.a_quads + (row / parameters.rows_per_probe) * parameters.a_stride_quads
    + (index % parameters.rank) * parameters.inner_quads;
  var products = vec4<f32>();
  for (var k = 0u; k < parameters.inner_quads; k++) {
    products = fma(x[x_start + k], a[a_start + k], products);
  }
  t[index] = scale * (products.x + products.y + products.z + products.w);
}
