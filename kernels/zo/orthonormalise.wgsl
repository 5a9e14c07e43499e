// Thin QR of a tall matrix, in place: the columns become the Q factor (R has a positive diagonal), by Gram–Schmidt in
// one workgroup.
//
// matrix: rows × columns (columns ≤ rows), element (i, j) at matrix_start + i · row_stride + j · column_stride. The
// projections onto all earlier columns are subtracted from each column three times. "Twice is enough" (Giraud, Langou,
// Rozložník 2005) unless the matrix is numerically singular, and a square Gaussian matrix can come close to that in its
// last column; the third pass covers this case. Column norms are computed between the passes, so that nothing under- or
// overflows.

struct Parameters {
  rows: u32,
  columns: u32,
  row_stride: u32,
  column_stride: u32,
  matrix_start: u32,
}

@group(0) @binding(0) var<storage, read_write> matrix: array<f32>;
@group(0) @binding(1) var<uniform> parameters: Parameters;

const LANES: u32 = 256u;
var<workgroup> partial: array<f32, LANES>;
var<workgroup> projections: array<f32, 256>;

fn workgroup_sum(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  partial[lane] = value;
  workgroupBarrier();
  // A beginning that is no constant keeps the loop a loop, which compiles in half of the time on software adapters.
  for (var half = LANES / 2u + (parameters.rows >> 31u); half > 0u; half >>= 1u) {
    if (lane < half) {
      partial[lane] += partial[lane + half];
    }
    workgroupBarrier();
  }
  return partial[0];
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  for (var j = 0u; j < parameters.columns; j++) {
    for (var pass_index = 0u; pass_index < 3u; pass_index++) {
      // Coefficients for the earlier columns: each lane takes whole columns, so no reduction is needed.
      for (var c = lane; c < j; c += LANES) {
        var dot_product = 0.0;
        for (var i = 0u; i < parameters.rows; i++) {
          let start = parameters.matrix_start + i * parameters.row_stride;
          dot_product = fma(matrix[start + c * parameters.column_stride],
            matrix[start + j * parameters.column_stride], dot_product);
        }
        projections[c] = dot_product;
      }
      workgroupBarrier();
      var squares = 0.0;
      for (var i = lane; i < parameters.rows; i += LANES) {
        let start = parameters.matrix_start + i * parameters.row_stride;
        var value = matrix[start + j * parameters.column_stride];
        for (var c = 0u; c < j; c++) {
          value = fma(-projections[c], matrix[start + c * parameters.column_stride], value);
        }
        matrix[start + j * parameters.column_stride] = value;
        squares = fma(value, value, squares);
      }
      let norm = sqrt(workgroup_sum(squares, lane));
      let factor = 1.0 / norm;
      for (var i = lane; i < parameters.rows; i += LANES) {
        matrix[parameters.matrix_start + i * parameters.row_stride + j * parameters.column_stride] *= factor;
      }
      storageBarrier();
      workgroupBarrier();
    }
  }
}
