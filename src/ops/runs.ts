/**
 * Which rows of a pass belong to which sequence, for operations that carry something from token to token.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';

/** Runs of rows on the GPU, the same for every probe or, where these have inputs of their own, of all rows. */
export interface Runs {
  /** Six u32 for each run, see kernels/convolution/interface.wgsl. */
  table: GpuBuffer;
  /** The run of each row that has inputs of its own. */
  ofRows: GpuBuffer;
  count: number;
}
