/**
 * What SubZero's estimate of a matrix's gradient is worth, from the matrix's sides, the rank and how the gradient's
 * singular values are spread: in closed form, in f64. docs/method.md, "The view of a tensor", derives it.
 *
 * @module
 */

/** A matrix as which a tensor is seen, with the rank of its change. */
export interface View {
  rows: number;
  columns: number;
  /** As the settings have it; a smaller side clips it. */
  rank: number;
}

/** Columns of U and V of a view. */
export function rankOfView({ rows, columns, rank }: View): number {
  return Math.min(rank, rows, columns);
}

/**
 * E‖ĝ‖² / ‖∇f‖² of the mean of `steps` estimates in one subspace, with norm alignment: the expectation is over the
 * subspace, too. N (1 + (q + 1) / steps) / q with q coefficients of N elements; −1 is the variance, as ĝ is unbiased.
 */
export function secondMoment(view: View, steps = 1): number {
  const q = rankOfView(view) ** 2;
  return ((view.rows * view.columns) / q) * (1 + (q + 1) / steps);
}

/**
 * E[A_ij A_kl] = c₁ δ_ij δ_kl + c₂ (δ_ik δ_jl + δ_il δ_jk) of a uniformly drawn projection A of a rank in a space of
 * `size` dimensions.
 */
function projectionMoments(rank: number, size: number): [c1: number, c2: number] {
  if (rank === size) return [1, 0];
  const common = rank / (size * (size - 1) * (size + 2));
  return [common * (rank * (size + 1) - 2), common * (size - rank)];
}

/**
 * Squared coefficient of variation, over subspaces, of the share s = ‖Uᵀ∇f V‖² / ‖∇f‖² that one catches; its mean is
 * r²/(rows · columns).
 * @param concentration Σσ⁴ / (Σσ²)² of the gradient's singular values in this view: 1 for rank one, 1/k for k equal
 *   ones
 */
export function shareVariation(view: View, concentration: number): number {
  const { rows, columns } = view;
  const rank = rankOfView(view);
  const [a1, a2] = projectionMoments(rank, rows);
  const [b1, b2] = projectionMoments(rank, columns);
  const square = a1 * b1 + 2 * a2 * b2 + 2 * (a1 * b2 + a2 * b1 + a2 * b2) * concentration;
  return square / (rank ** 2 / (rows * columns)) ** 2 - 1;
}
