// Second step of Cholesky QR, in one workgroup: sums the partial Gram matrices to G, factors G = RᵀR (R is upper
// triangular with a positive diagonal) and inverts R.
//
// partial: [chunks, columns, columns]. work: [2, columns, columns]; the first matrix becomes R (upper triangle), the
// second R⁻¹ (upper triangle, zeros below). columns ≤ 256. The caller ensures that G is well-conditioned (that of a
// tall Gaussian matrix is).

struct Parameters {
  columns: u32,
  chunks: u32,
}

@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read_write> work: array<f32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

const LANES: u32 = 256u;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  let n = parameters.columns;
  let size = n * n;
  for (var e = lane; e < size; e += LANES) {
    var sum = 0.0;
    for (var c = 0u; c < parameters.chunks; c++) {
      sum += partial[c * size + e];
    }
    work[e] = sum;
  }
  storageBarrier();

  // Right-looking Cholesky on the upper triangle.
  for (var k = 0u; k < n; k++) {
    let pivot = sqrt(work[k * n + k]);
    storageBarrier();
    for (var j = k + lane; j < n; j += LANES) {
      // The pivot element itself becomes pivot² / pivot.
      work[k * n + j] /= pivot;
    }
    storageBarrier();
    let rest = n - k - 1u;
    for (var e = lane; e < rest * rest; e += LANES) {
      let i = k + 1u + e / rest;
      let j = k + 1u + e % rest;
      if (j >= i) {
        work[i * n + j] = fma(-work[k * n + i], work[k * n + j], work[i * n + j]);
      }
    }
    storageBarrier();
  }

  // Each lane solves R · x = e_j for its own columns j, from the bottom up.
  for (var j = lane; j < n; j += LANES) {
    for (var i = j + 1u; i < n; i++) {
      work[size + i * n + j] = 0.0;
    }
    work[size + j * n + j] = 1.0 / work[j * n + j];
    for (var above = 0u; above < j; above++) {
      let i = j - 1u - above;
      var sum = 0.0;
      for (var k = i + 1u; k <= j; k++) {
        sum = fma(work[i * n + k], work[size + k * n + j], sum);
      }
      work[size + i * n + j] = -sum / work[i * n + i];
    }
  }
}
