// Third step of Cholesky QR, in place: A ← A · R⁻¹, row by row.
//
// matrix as in zo/gram.wgsl; work as zo/cholesky-inverse.wgsl left it. One workgroup per row, which it first copies to
// workgroup memory.

struct Parameters {
  rows: u32,
  columns: u32,
  row_stride: u32,
  column_stride: u32,
  matrix_start: u32,
}

@group(0) @binding(0) var<storage, read> work: array<f32>;
@group(0) @binding(1) var<storage, read_write> matrix: array<f32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

var<workgroup> row_values: array<f32, 256>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  let inside = row < parameters.rows;
  let start = parameters.matrix_start + select(0u, row * parameters.row_stride, inside);
  let n = parameters.columns;
  for (var i = lane; i < n; i += 64u) {
    row_values[i] = matrix[start + i * parameters.column_stride];
  }
  workgroupBarrier();
  if (!inside) {
    return;
  }
  for (var j = lane; j < n; j += 64u) {
    var sum = 0.0;
    for (var k = 0u; k <= j; k++) {
      sum = fma(row_values[k], work[n * n + k * n + j], sum);
    }
    matrix[start + j * parameters.column_stride] = sum;
  }
}
