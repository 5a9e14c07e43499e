/**
 * What a storage type of weights is. A type is one file here, one of the same name under kernels/weights/, and an entry
 * in index.ts.
 *
 * @module
 */

import type { FloatDtype } from '../safetensors/convert.ts';

/**
 * How the elements of a weight matrix lie in memory. Its WGSL file declares `WeightWord`, the element of the array
 * `weight` that kernels bind, and `weight_quad(index)`, four consecutive elements of a row in f32, counted over the
 * bound rows. One that can be written declares `widen(word)` and `narrow(value, random)` besides. One of blocks
 * declares `run_of(index)`, what eight quads share (index counts these eights), and `run_quad(run, quad)`, one of them.
 */
export interface WeightCodec {
  /** As `--storage` calls it; the names of its files. */
  name: string;
  /**
   * The least that is stored by itself: whole blocks make a row. Where it has one element, that lies as in weight files
   * of `dtype`.
   */
  block: { elements: number; bytes: number };
  /** What exports write its values as. */
  dtype: FloatDtype;
  /** Whether matrix units read an element as one f16 number; they split others in two. */
  halfExact: boolean;
  /** How a changed value is written back: as it is, rounded at random with the right mean, or not at all. */
  writing: 'exact' | 'stochastic' | 'never';
  /**
   * Stores values, rounded to the nearest; absent where values come only from files that hold them so.
   * @param values whole rows
   */
  pack?(values: Float32Array): Uint8Array;
  /** The values of stored rows, exact up to one rounding to f32. */
  unpack(bytes: Uint8Array): Float32Array;
}
