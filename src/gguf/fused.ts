/**
 * Queries, keys and values that a file has in one tensor, `attn_qkv`, where its architecture in transformers has three:
 * all queries first, then the keys, then the values.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { quote } from '../safetensors/json.ts';
import { layerNames } from './architecture.ts';
import type { KnownGguf } from './configuration.ts';
import type { GgufTensor } from './header.ts';

/** A tensor of a file, or rows of one that are a tensor by themselves. */
export type StoredPart = Pick<GgufTensor, 'name' | 'type' | 'shape' | 'byteLength'>;

const projections = ['attn_q', 'attn_k', 'attn_v'] as const;
const fused = /^(blk\.\d+\.)attn_qkv\.(weight|bias)$/;

/** What a file may have a tensor of queries in; the name itself for others. */
export function fusedName(name: string): string {
  return name.replace(/^(blk\.\d+\.)attn_q\./, '$1attn_qkv.');
}

/**
 * The tensors that a tensor stands for, mostly itself, and the byte at which each begins.
 * @throws SubzeroError `invalid_data` for another number of rows
 */
export function withoutFusion(
  path: string,
  stored: GgufTensor,
  { architecture, config, heads: { heads, keyHeads, headWidth } }: Pick<KnownGguf, 'architecture' | 'config' | 'heads'>,
): (StoredPart & { from: number })[] {
  const [, layer, suffix] = fused.exec(stored.name) ?? [];
  const names = layerNames(architecture, config);
  if (suffix === undefined || Object.hasOwn(names, 'attn_qkv') || !projections.every((name) => name in names)) {
    return [{ ...stored, from: 0 }];
  }
  const [rows = 0, ...columns] = stored.shape;
  const expected = (heads + 2 * keyHeads) * headWidth;
  if (rows !== expected) {
    throw new SubzeroError(
      'invalid_data',
      `${path}: tensor ${quote(stored.name)}: expected ${expected} rows, those of ${heads} queries, ${keyHeads} keys ` +
        `and ${keyHeads} values of ${headWidth} elements, got ${rows}`,
      { parameter: path },
    );
  }
  const rowBytes = stored.byteLength / rows;
  const starts = [0, heads * headWidth, (heads + keyHeads) * headWidth, rows];
  return projections.map((name, part) => {
    const [start, end] = [starts[part]!, starts[part + 1]!];
    return {
      name: `${layer}${name}.${suffix}`,
      type: stored.type,
      shape: [end - start, ...columns],
      byteLength: (end - start) * rowBytes,
      from: start * rowBytes,
    };
  });
}
