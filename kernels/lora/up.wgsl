// The second half of LoRA, added to the layer's own output: y[i, c] ← activation(y[i, c] + Σ_j t[i, j] · B_p[c, j]),
// for row i of probe p = i / rows_per_probe.
//
// t: [rows, rank]; B_p: [columns, rank] at b_offset + p · b_stride; y: [rows, columns]. One invocation per element.

struct Parameters {
  rows: u32,
  columns: u32,
  rank: u32,
  rows_per_probe: u32,
  b_offset: u32,
  b_stride: u32,
}

@group(0) @binding(0) var<storage, read> t: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let row = index / parameters.columns;
  if (row >= parameters.rows) {
    return;
  }
  let b_start = parameters.b_offset + (row / parameters.rows_per_probe) * parameters.b_stride
    + (index % parameters.columns) * parameters.rank;
  var value = y[index];
  for (var j = 0u; j < parameters.rank; j++) {
    value = fma(t[row * parameters.rank + j], b[b_start + j], value);
  }
  y[index] = activate(value);
}
