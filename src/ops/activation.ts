/**
 * Activations that kernels end with.
 *
 * @module
 */

/** What follows the product, fused into its last step. */
export type MatmulActivation = 'none' | 'relu' | 'gelu' | 'gelu-tanh' | 'silu';

/** The number of an activation as kernels have it. */
export const activationNumber: Readonly<Record<MatmulActivation, number>> = {
  none: 0,
  relu: 1,
  gelu: 2,
  'gelu-tanh': 3,
  silu: 4,
};
