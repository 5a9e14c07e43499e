// Computes an adapter tensor as each probe sees it: made_p = base_scale · T + scale · (U · S_p) · Vᵀ, with the tensor
// seen as rows × columns.
//
// U: [rows, u_stride]; V, stored transposed: [rank, columns], from element v_start on; S_p: [rank, rank] at
// state_offset + p · state_stride. base and made hold the tensor, row-major, at `offset`; made holds it once per probe.
// One workgroup per row and probe: it first computes the coefficients U·S of the row, then its elements.

struct Parameters {
  rows: u32,
  columns: u32,
  rank: u32,
  u_stride: u32,
  v_start: u32,
  state_offset: u32,
  state_stride: u32,
  offset: u32,
  made_stride: u32,
  scale: f32,
  base_scale: f32,
}

@group(0) @binding(0) var<storage, read> u: array<f32>;
@group(0) @binding(1) var<storage, read> v: array<f32>;
@group(0) @binding(2) var<storage, read> state: array<f32>;
@group(0) @binding(3) var<storage, read> base: array<f32>;
@group(0) @binding(4) var<storage, read_write> made: array<f32>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

var<workgroup> coefficients: array<f32, 256>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = min(group.y * groups.x + group.x, parameters.rows - 1u); // surplus workgroups repeat the last row
  let s = parameters.state_offset + group.z * parameters.state_stride;
  for (var b = lane; b < parameters.rank; b += 64u) {
    var sum = 0.0;
    for (var a = 0u; a < parameters.rank; a++) {
      sum = fma(u[row * parameters.u_stride + a], state[s + a * parameters.rank + b], sum);
    }
    coefficients[b] = parameters.scale * sum;
  }
  workgroupBarrier();
  for (var column = lane; column < parameters.columns; column += 64u) {
    let index = parameters.offset + row * parameters.columns + column;
    var value = parameters.base_scale * base[index];
    for (var b = 0u; b < parameters.rank; b++) {
      value = fma(coefficients[b], v[parameters.v_start + b * parameters.columns + column], value);
    }
    made[group.z * parameters.made_stride + index] = value;
  }
}
