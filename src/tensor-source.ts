/**
 * Tensors on disk, whatever the format of their files.
 *
 * @module
 */

/** One tensor. */
export interface StoredTensor {
  readonly name: string;
  /** The type of its elements, or of its blocks of elements, as the format calls it. */
  readonly dtype: string;
  /** Dimensions, outermost first; `[]` for a scalar. */
  readonly shape: readonly number[];
  readonly byteLength: number;
  /**
   * Its matrices are [out features, in features], though checkpoints of its architecture may have them the other way
   * round: in blocks along the rows they cannot be.
   */
  readonly outFirst?: true;
}

/** A file of tensors, or all files of a model. */
export interface TensorSource<Entry extends StoredTensor = StoredTensor> {
  /** By name, in the order of the data. */
  readonly tensors: ReadonlyMap<string, Entry>;
  /** The texts that a file has beside its tensors; `{}` if there are none. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * Reads a range of one tensor's bytes (little-endian, row-major) from the file.
   * @param byteOffset first byte, counted from the start of the tensor; 0 by default
   * @param byteLength number of bytes; the rest of the tensor by default
   * @param memory may hold the result, which is then good until this memory is given again
   * @returns without `memory`, a fresh copy whose buffer holds these bytes and nothing else; in any case typed arrays
   * can be laid over it
   * @throws SubzeroError `not_found` for an unknown tensor, `invalid_argument` for a range outside of it,
   * `invalid_data` if the file has shrunk, `io` if it cannot be read, `conflict` after `close`.
   */
  read(name: string, byteOffset?: number, byteLength?: number, memory?: ArrayBuffer): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * A hexadecimal SHA-256 that identifies the weights. Computed once.
   * @throws SubzeroError `io`, `invalid_data`, `conflict` as {@link TensorSource.read}.
   */
  fingerprint(): Promise<string>;
  /** Closes the file. Calling it again does nothing. */
  close(): Promise<void>;
}

/** All files of a model. */
export interface ModelSource extends TensorSource {
  /** Their paths, sorted by name. */
  readonly files: readonly string[];
  /** How its weights are quantised, where config.json says it: method, bits, groups. */
  readonly quantization?: string;
  /** What whoever runs the process should know of them. */
  readonly notes?: readonly string[];
}
