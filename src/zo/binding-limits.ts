/**
 * What must fit into one storage binding: kernels see U, V and the state of a probe as one buffer each.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { factorBytes } from '../ops/factors.ts';
import { factorWidth } from '../ops/probes.ts';
import { shapeOf } from '../tensor/weight.ts';
import { parameter, words } from '../words.ts';
import { type BankShape, type MatrixShape, rankOf } from './subspace.ts';

/**
 * Checks U and V of a matrix of the model.
 * @param bank beside it
 * @throws SubzeroError `unsupported` that names the matrix and what fits
 */
export function checkFactors(
  { bindingLimit }: Pick<Gpu, 'bindingLimit'>,
  rank: number,
  matrix: MatrixShape,
  bank?: BankShape,
): void {
  const { name, rows, columns } = matrix;
  const longest = Math.max(rows, columns);
  const unit = factorBytes[bank?.storage ?? 'f32'];
  const banked = bank?.columns ?? 0;
  const bytes = longest * factorWidth({ rank: rankOf({ rank }, ...shapeOf(matrix)), bank: banked }) * unit;
  if (bytes <= bindingLimit) return;
  const fitting = Math.floor(bindingLimit / (longest * 4 * unit)) * 4 - banked;
  const ways = [
    ...(fitting > 0 ? [`choose a rank of at most ${fitting}`] : []),
    `leave the matrix out by a pattern of parameters, "!${name}"`,
  ];
  const problem =
    `${rank} makes ${rows >= columns ? 'U' : 'V'} of ${name} [${rows}, ${columns}] a buffer of ` +
    `${formatBytes(bytes)}; one storage binding of this adapter holds at most ${formatBytes(bindingLimit)}. ` +
    `You can ${ways.join(', or ')}.`;
  throw new SubzeroError('unsupported', words`${parameter('rank')}: ${problem}`, { parameter: 'rank' });
}

/**
 * Checks the state of a probe, or the tensors of a scheme that are made from it.
 * @throws SubzeroError `unsupported`
 */
export function checkState({ bindingLimit }: Pick<Gpu, 'bindingLimit'>, bytes: number): void {
  if (bytes <= bindingLimit) return;
  throw new SubzeroError(
    'unsupported',
    `what trains beside the weights (S matrices, 1-D parameters, or what the scheme adds) takes ` +
      `${formatBytes(bytes)} for each probe; one storage binding of this adapter holds at most ` +
      `${formatBytes(bindingLimit)}. A lower rank, fewer virtual tokens or fewer parameters take less.`,
  );
}
