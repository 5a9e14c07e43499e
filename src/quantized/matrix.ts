/**
 * What a file format of quantised weights comes to.
 *
 * @module
 */

import type { StoredTensor } from '../tensor-source.ts';
import type { Parts } from './parts.ts';

/** A weight matrix that a file holds in several tensors, or matrices of one shape, one behind the other. */
export interface QuantizedMatrix {
  readonly shape: readonly [...matrices: number[], rows: number, columns: number];
  /** A storage type that holds its values exactly; or the type of elements that the format's library widens it to. */
  readonly dtype: string;
  /** See {@link StoredTensor.outFirst}. */
  readonly outFirst?: true;
  /** The tensors of the file that it is made of, or that lie beside it and say nothing about its values. */
  readonly parts: readonly string[];
  /** Some of its rows as `dtype` has them, counted over all matrices. */
  rows(start: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** A file format with the settings of one model. */
export interface QuantizedFormat {
  /** For people: method, bits, groups. */
  readonly description: string;
  /** What whoever runs the process should know. */
  readonly notes: readonly string[];
  /**
   * All quantised matrices of a file under the names that they have unquantised.
   * @throws SubzeroError `invalid_data` or `unsupported` naming file, tensor and rule
   */
  matrices(parts: Parts): Promise<ReadonlyMap<string, QuantizedMatrix>>;
}

/** Types of scales. What no layout holds is widened to the type of its scales, as the formats' libraries do. */
export const scaleTypes = ['F32', 'F16', 'BF16'] as const;

/** A type of scales. */
export type ScaleType = (typeof scaleTypes)[number];
