/**
 * A short name of what a run has trained so far, by which copies of it are compared.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { createHash } from '../platform/index.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';

/** Steps from one comparison to the next. */
export const stepsBetweenDigests = 50;

/**
 * The hash of the state that every probe starts from: S of factored matrices, tensors of a scheme, 1-D parameters.
 * Weights that a dense method has written are not part of it.
 */
export async function digestOf(gpu: Gpu, optimizer: Pick<ZerothOrderOptimizer, 'current'>): Promise<string> {
  const { state } = optimizer.current;
  const [bytes] = await gpu.recorder.read([{ buffer: state, bytes: state.size }]);
  return createHash('sha256').update(new Uint8Array(bytes!)).digest('hex').slice(0, 32);
}
