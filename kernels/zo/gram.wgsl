// First step of Cholesky QR: partial Gram matrices of a tall matrix, partial[c, i, j] = Σ_k A[k, i] · A[k, j] over the
// rows k of chunk c.
//
// matrix: rows × columns, element (k, i) at matrix_start + k · row_stride + i · column_stride. One invocation per (c,
// i, j). Chunks keep each sum short, which keeps its rounding error small, and give the GPU parallel work.

struct Parameters {
  rows: u32,
  columns: u32,
  row_stride: u32,
  column_stride: u32,
  matrix_start: u32,
  chunk_rows: u32,
  chunks: u32,
}

@group(0) @binding(0) var<storage, read> matrix: array<f32>;
@group(0) @binding(1) var<storage, read_write> partial: array<f32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let columns = parameters.columns;
  let chunk = index / (columns * columns);
  if (chunk >= parameters.chunks) {
    return;
  }
  let i = (index / columns) % columns;
  let j = index % columns;
  let end = min(parameters.rows, (chunk + 1u) * parameters.chunk_rows);
  var sum = 0.0;
  for (var k = chunk * parameters.chunk_rows; k < end; k++) {
    let start = parameters.matrix_start + k * parameters.row_stride;
    sum = fma(matrix[start + i * parameters.column_stride], matrix[start + j * parameters.column_stride], sum);
  }
  partial[index] = sum;
}
