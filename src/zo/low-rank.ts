/**
 * Products of two thin matrices, and the best one of a lower rank. All in f64 and by sums, products, quotients and
 * square roots only, which are the same bits on every machine.
 *
 * @module
 */

/** Σ_k left_k right_kᵀ: columns of the left factor and rows of the right one. */
export interface LowRank {
  left: Float64Array[];
  right: Float64Array[];
}

/** Sweeps of Jacobi rotations; a core of a few hundred columns takes about ten. */
const mostSweeps = 60;

/** Below this share of its length what is left of a vector is rounding. */
const rounding = 1e-13;

/** Below this cosine two columns count as orthogonal. */
const orthogonal = 1e-15;

/**
 * The product of at most `rank` terms that is nearest in the Frobenius norm (Eckart–Young), by QR decompositions of
 * both factors and a singular value decomposition of the small matrix between them. Both factors of the result carry
 * the square roots of the singular values, which descend.
 * @returns with the squared norms of what is kept and what is dropped
 */
export function nearestOfRank({ left, right }: LowRank, rank: number): LowRank & { kept: number; dropped: number } {
  const [ofLeft, ofRight] = [orthonormalBasis(left), orthonormalBasis(right)];
  // Columns of R_left R_rightᵀ.
  const core = ofRight.coordinates.map((_, column) =>
    combine(
      ofLeft.coordinates,
      Float64Array.from(ofRight.coordinates, (vector) => vector[column]!),
    ),
  );
  const turns = core.map((_, column) => Float64Array.from(core, (__, row) => (row === column ? 1 : 0)));
  diagonalise(core, turns);
  const squares = core.map((column) => dot(column, column));
  const order = squares.map((_, index) => index).sort((a, b) => squares[b]! - squares[a]! || a - b);
  const sum = (indices: readonly number[]): number => indices.reduce((total, index) => total + squares[index]!, 0);
  const best = order.slice(0, rank).filter((index) => squares[index]! > 0);
  return {
    left: best.map((index) => scaled(combine(ofLeft.basis, core[index]!), 1 / Math.sqrt(Math.sqrt(squares[index]!)))),
    right: best.map((index) => scaled(combine(ofRight.basis, turns[index]!), Math.sqrt(Math.sqrt(squares[index]!)))),
    kept: sum(best),
    dropped: sum(order.slice(best.length)),
  };
}

/**
 * The same product with the largest magnitudes of both sides of a term within a factor of 4, so that neither leaves the
 * range of a narrow type before the other. Terms are scaled by powers of two, which is exact.
 */
export function balanced({ left, right }: LowRank): LowRank {
  const factors = left.map((vector, index) => {
    const [ofLeft, ofRight] = [exponent(vector), exponent(right[index]!)];
    return 2 ** Math.trunc((ofRight - ofLeft) / 2);
  });
  return {
    left: left.map((vector, index) => scaled(vector, factors[index]!)),
    right: right.map((vector, index) => scaled(vector, 1 / factors[index]!)),
  };
}

/** ⌊log₂⌋ of the largest magnitude; 0 for a vector of zeros. */
function exponent(vector: Float64Array): number {
  const most = vector.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  let power = 0;
  if (!(most > 0 && most < Infinity)) return power;
  while (2 ** power > most) power--;
  while (2 ** (power + 1) <= most) power++;
  return power;
}

/** The squared Frobenius norm of a product. */
export function squaredNorm({ left, right }: LowRank): number {
  let sum = 0;
  for (let i = 0; i < left.length; i++) {
    for (let j = 0; j < left.length; j++) sum += dot(left[i]!, left[j]!) * dot(right[i]!, right[j]!);
  }
  return sum;
}

/**
 * Gram–Schmidt with every projection made twice.
 * @returns orthonormal vectors, zero where one depends on those before it, and the coordinates of each vector in them
 */
function orthonormalBasis(vectors: readonly Float64Array[]): { basis: Float64Array[]; coordinates: Float64Array[] } {
  const basis: Float64Array[] = [];
  const coordinates = vectors.map((vector) => {
    const rest = Float64Array.from(vector);
    const own = new Float64Array(vectors.length);
    const length = Math.sqrt(dot(rest, rest));
    for (let pass = 0; pass < 2; pass++) {
      for (const [index, direction] of basis.entries()) {
        const along = dot(direction, rest);
        own[index]! += along;
        for (let i = 0; i < rest.length; i++) rest[i]! -= along * direction[i]!;
      }
    }
    const left = Math.sqrt(dot(rest, rest));
    const depends = left <= rounding * length;
    if (!depends) own[basis.length] = left;
    basis.push(scaled(rest, depends ? 0 : 1 / left));
    return own;
  });
  return { basis, coordinates };
}

/** One-sided Jacobi: turns columns until they are orthogonal, and those of `turns` alike. */
function diagonalise(columns: readonly Float64Array[], turns: readonly Float64Array[]): void {
  for (let sweep = 0; sweep < mostSweeps; sweep++) {
    let turned = false;
    for (let p = 0; p < columns.length; p++) {
      for (let q = p + 1; q < columns.length; q++) {
        const [one, other] = [columns[p]!, columns[q]!];
        const [alpha, beta, gamma] = [dot(one, one), dot(other, other), dot(one, other)];
        if (Math.abs(gamma) <= orthogonal * Math.sqrt(alpha * beta)) continue;
        turned = true;
        const zeta = (beta - alpha) / (2 * gamma);
        const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
        const cosine = 1 / Math.sqrt(1 + tangent * tangent);
        turn(one, other, cosine, cosine * tangent);
        turn(turns[p]!, turns[q]!, cosine, cosine * tangent);
      }
    }
    if (!turned) return;
  }
}

function turn(one: Float64Array, other: Float64Array, cosine: number, sine: number): void {
  for (let i = 0; i < one.length; i++) {
    const [a, b] = [one[i]!, other[i]!];
    one[i] = cosine * a - sine * b;
    other[i] = sine * a + cosine * b;
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function scaled(vector: Float64Array, factor: number): Float64Array {
  return vector.map((value) => factor * value);
}

/** Σ_k weight_k · vector_k. */
function combine(vectors: readonly Float64Array[], weights: Float64Array): Float64Array {
  const result = new Float64Array(vectors[0]!.length);
  for (const [k, vector] of vectors.entries()) {
    const weight = weights[k]!;
    if (weight !== 0) for (let i = 0; i < result.length; i++) result[i]! += weight * vector[i]!;
  }
  return result;
}
