/**
 * The matrices of a model's layers, by kind.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { readConfigurationFile } from '../model/load.ts';
import { parameterShapes } from '../model/parameters.ts';

export interface MatrixKind {
  /** Shape of every matrix of the kind. */
  shape: readonly [rows: number, columns: number];
  /** From the first layer to the last. */
  names: string[];
}

/**
 * Kinds of matrices, by patterns over the names of parameters, such as `model.layers.*.mlp.up_proj.weight`.
 * @throws SubzeroError `invalid_data` for a model without numbered layers
 */
export async function matrixKinds(model: string): Promise<Map<string, MatrixKind>> {
  const decoder = await readConfigurationFile(model);
  const kinds = new Map<string, MatrixKind>();
  for (const { name, shape, axes } of parameterShapes(decoder)) {
    const [rows, columns] = shape;
    // Convolutions have three sides in their files, and train as vectors.
    if (columns === undefined || axes.length !== 2 || !/\.\d+\./.test(name)) continue;
    const pattern = name.replace(/\.\d+\./, '.*.');
    const kind = kinds.get(pattern) ?? { shape: [rows!, columns], names: [] };
    kind.names.push(name);
    kinds.set(pattern, kind);
  }
  if (kinds.size === 0) throw new SubzeroError('invalid_data', `${model} has no matrices in numbered layers`);
  return kinds;
}

/** The pattern of a kind, or a matrix's name, without what all of them share. */
export function shortName(name: string): string {
  return name.replace(/^model\./, '').replace(/\.weight$/, '');
}
