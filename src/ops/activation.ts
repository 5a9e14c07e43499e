/**
 * Activations that kernels end with.
 *
 * @module
 */

/** What follows the product, fused into its last step, or the gate of a gated feed-forward layer. */
export type MatmulActivation =
  | 'none'
  | 'relu'
  | 'gelu'
  | 'gelu-tanh'
  | 'silu'
  | 'relu-squared'
  | 'gelu-sigmoid'
  | 'sigmoid';

/** The number of an activation as kernels have it. */
export const activationNumber: Readonly<Record<MatmulActivation, number>> = {
  none: 0,
  relu: 1,
  gelu: 2,
  'gelu-tanh': 3,
  silu: 4,
  'relu-squared': 5,
  'gelu-sigmoid': 6,
  sigmoid: 7,
};

/** Names in configurations of Hugging Face checkpoints (transformers' `ACT2FN`); several name one function. */
export const activationNames: Readonly<Record<string, MatmulActivation>> = {
  relu: 'relu',
  relu2: 'relu-squared',
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu-tanh',
  gelu_fast: 'gelu-tanh',
  gelu_accurate: 'gelu-tanh',
  gelu_pytorch_tanh: 'gelu-tanh',
  gelu_python_tanh: 'gelu-tanh',
  quick_gelu: 'gelu-sigmoid',
  silu: 'silu',
  swish: 'silu',
  linear: 'none',
};
