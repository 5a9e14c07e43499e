/**
 * The parameters whose rows or columns a GGUF file has otherwise than transformers.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { quote } from '../safetensors/json.ts';
import { type Architecture, inLayer } from './architecture.ts';
import type { KnownGguf } from './configuration.ts';
import type { ReadableTensor } from './experts.ts';
import type { GgufModel } from './file.ts';
import type { GgufTensor } from './header.ts';
import type { ReadRange } from './ranges.ts';
import { columnsInRuns, isInOrder, type Rearranged, rowsInRuns } from './rearranged.ts';

/** Makes parameters of tensors by the table of an architecture. */
export class RearrangedReader {
  readonly #model: Pick<GgufModel, 'path' | 'tensors'>;
  readonly #architecture: Architecture;
  readonly #orders: readonly Rearranged[];
  readonly #read: (tensor: GgufTensor) => ReadRange;

  /** @param read how the bytes of a tensor of the file are read */
  constructor(
    model: Pick<GgufModel, 'path' | 'tensors'>,
    { architecture, config, heads }: Pick<KnownGguf, 'architecture' | 'config' | 'heads'>,
    read: (tensor: GgufTensor) => ReadRange,
  ) {
    this.#model = model;
    this.#architecture = architecture;
    this.#orders = (architecture.rearranged?.(config, heads) ?? []).filter(
      ({ tensors, runs }) => tensors.length > 1 || !isInOrder(runs),
    );
    this.#read = read;
  }

  /**
   * What a tensor of the file becomes; nothing of one that is read with another.
   * @returns undefined for a tensor that lies as in transformers
   * @throws SubzeroError `invalid_data`, `unsupported`, naming the tensor
   */
  tensorsOf(stored: GgufTensor): ReadableTensor[] | undefined {
    const [, layer = '', name = ''] = /^blk\.(\d+)\.(.+)$/.exec(stored.name) ?? [];
    const order = this.#orders.find(({ tensors }) => tensors.includes(name));
    if (!order) return undefined;
    if (order.tensors[0] !== name) return [];
    const parts = order.tensors.map((each) => this.#part(stored, `blk.${layer}.${each}`));
    const rows = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
    const columns = stored.shape[1] ?? 1;
    this.#checkSize(stored, order, order.along === 'rows' ? rows : columns);
    const parameter = inLayer(this.#architecture, layer, order.parameter);
    const { type } = stored;
    if (order.along === 'columns') {
      const sizes = { dtype: type.name, rows, columns };
      return [{ name: parameter, shape: stored.shape, ...columnsInRuns(this.#read(stored), sizes, order.runs) }];
    }
    const byteLength = parts.reduce((sum, part) => sum + part.byteLength, 0);
    const range = rowsInRuns(
      parts.map((part) => this.#read(part)),
      byteLength / Math.max(1, rows),
      order.runs,
    );
    return [{ name: parameter, dtype: type.name, shape: [rows, ...stored.shape.slice(1)], byteLength, range }];
  }

  #part(stored: GgufTensor, name: string): GgufTensor {
    const part = this.#model.tensors.get(name);
    if (!part) throw this.#error('invalid_data', stored, `expected ${quote(name)} beside it`);
    if (part.shape.slice(1).join() !== stored.shape.slice(1).join()) {
      throw this.#error('invalid_data', part, `expected rows of ${stored.shape[1]}, got [${part.shape.join(', ')}]`);
    }
    if (part.type.name === stored.type.name) return part;
    throw this.#error(
      'unsupported',
      stored,
      `expected one type for it and ${quote(name)}, which are one matrix in this architecture, got ` +
        `${stored.type.name} and ${part.type.name}`,
    );
  }

  #checkSize(stored: GgufTensor, { along, runs }: Rearranged, found: number): void {
    const expected = runs.reduce((sum, { count }) => sum + count, 0);
    if (found === expected) return;
    throw this.#error('invalid_data', stored, `expected ${expected} ${along}, got ${found}`);
  }

  #error(code: 'invalid_data' | 'unsupported', { name }: GgufTensor, reason: string): SubzeroError {
    return new SubzeroError(code, `${this.#model.path}: tensor ${quote(name)}: ${reason}`, {
      parameter: this.#model.path,
    });
  }
}
