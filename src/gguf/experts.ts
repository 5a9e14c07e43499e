/**
 * The tensors of experts: a file has one for each projection of a layer, [experts, out features, in features], and the
 * families of transformers have matrices of their own, or gate and up in one tensor.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { quote } from '../safetensors/json.ts';
import type { StoredTensor } from '../tensor-source.ts';
import type { Architecture, ExpertTensors } from './architecture.ts';
import type { GgufTensor } from './header.ts';
import { inTurns, partOf, type ReadRange } from './ranges.ts';

/** A tensor under its name in transformers, and how it is read. */
export interface ReadableTensor extends StoredTensor {
  readonly range: ReadRange;
}

type Projection = 'gate' | 'up' | 'down';

/** A projection, or two of them in one tensor. */
type Stack = Projection | 'gate_up';

/** `blk.N.ffn_PROJECTION_exps.weight` or `.bias`. */
const namePattern = /^blk\.(\d+)\.ffn_(gate|up|down|gate_up)_exps\.(weight|bias)$/;

/** What a file calls a tensor of experts. */
export function expertTensorName(layer: string, projection: Stack, suffix: 'weight' | 'bias'): string {
  return `blk.${layer}.ffn_${projection}_exps.${suffix}`;
}

/** Where a parameter of experts lies in a file. */
export interface ExpertPlace {
  /** The tensor. */
  name: string;
  /** The matrix of it; absent where the parameter has those of all experts. */
  expert?: number;
  /** Which runs of its rows lie there: every second one, beginning with the first or the second. */
  turn?: 0 | 1;
}

const projections = ['gate', 'up', 'down'] as const;

/** Where a parameter of transformers lies in files; nothing of one that does not belong to experts. */
export function expertPlaces(parameter: string, experts: ExpertTensors | undefined): ExpertPlace[] {
  const [, layer, name] = /^model\.layers\.(\d+)\.(.+)$/.exec(parameter) ?? [];
  if (!experts || layer === undefined || name === undefined) return [];
  if (!('packed' in experts)) {
    const [, module, expert] = /^(.+\.(\d+)\.[^.]+)\.weight$/.exec(name) ?? [];
    const projection = projections.find(
      (each) => module !== undefined && experts[each].replace('*', expert!) === module,
    );
    return projection ? [{ name: expertTensorName(layer, projection, 'weight'), expert: Number(expert) }] : [];
  }
  const [, tensor, expert] = /^(.+)\.(\d+)$/.exec(name) ?? [];
  const [whole, suffix, own] =
    tensor === undefined ? ([name, 'bias', {}] as const) : ([tensor, 'weight', { expert: Number(expert) }] as const);
  const { packed, down } = (suffix === 'weight' ? experts : experts.biases) ?? {};
  if (whole === down) return [{ name: expertTensorName(layer, 'down', suffix), ...own }];
  if (whole !== packed) return [];
  if (experts.together) return [{ name: expertTensorName(layer, 'gate_up', suffix), ...own }];
  return ([0, 1] as const).map((turn) => {
    return { name: expertTensorName(layer, projections[turn], suffix), turn, ...own };
  });
}

/** What the tensors of experts become; those that are not of experts are left out. */
export class ExpertReader {
  readonly #path: string;
  readonly #experts: ExpertTensors;
  readonly #tensors: ReadonlyMap<string, GgufTensor>;
  readonly #read: (tensor: GgufTensor) => ReadRange;

  /** @param read how the bytes of a tensor of the file are read */
  constructor(
    path: string,
    { experts }: Architecture,
    tensors: ReadonlyMap<string, GgufTensor>,
    read: (tensor: GgufTensor) => ReadRange,
  ) {
    this.#path = path;
    this.#experts = experts ?? { gate: '', up: '', down: '' };
    this.#tensors = tensors;
    this.#read = read;
  }

  /**
   * What a tensor of the file becomes; nothing of `up` where it is read with the gate.
   * @returns undefined for a tensor that is not of experts
   * @throws SubzeroError `invalid_data`, `unsupported`, naming the tensor
   */
  tensorsOf(stored: GgufTensor): ReadableTensor[] | undefined {
    const [, layer, projection, suffix] = namePattern.exec(stored.name) ?? [];
    if (layer === undefined) return undefined;
    const prefix = `model.layers.${layer}.`;
    const experts = this.#experts;
    if (!('packed' in experts)) {
      const module = projection === 'gate_up' ? '' : experts[projection as Projection];
      if (suffix === 'bias' || module === '') return undefined;
      return this.#matrices(stored, (expert) => `${prefix}${module.replace('*', String(expert))}.weight`);
    }
    const names = suffix === 'weight' ? experts : experts.biases;
    if (!names) return undefined;
    this.#checkSides(stored, suffix === 'weight' ? 3 : 2);
    if (projection === 'down' || (projection === 'gate_up' && !experts.interleaved)) {
      const { type, shape, byteLength } = stored;
      return [
        {
          ...this.#named(prefix + (projection === 'down' ? names.down : names.packed), suffix!),
          dtype: type.name,
          shape,
          byteLength,
          range: this.#read(stored),
        },
      ];
    }
    if (projection === 'gate_up') return undefined;
    const other = projection === 'gate' ? 'up' : 'gate';
    const partner = this.#tensors.get(expertTensorName(layer, other, suffix as 'weight' | 'bias'));
    if (!partner) {
      throw this.#error(
        'invalid_data',
        stored,
        `expected ${quote(expertTensorName(layer, other, suffix as 'weight'))} beside it`,
      );
    }
    return projection === 'gate' ? [this.#packed(prefix + names.packed, suffix!, stored, partner)] : [];
  }

  /** Each matrix of a stack by itself. */
  #matrices(stored: GgufTensor, nameOf: (expert: number) => string): ReadableTensor[] {
    this.#checkSides(stored, 3);
    const [count, ...shape] = stored.shape as [number, number, number];
    const byteLength = stored.byteLength / Math.max(1, count);
    const read = this.#read(stored);
    return Array.from({ length: count }, (_, expert) => {
      return {
        name: nameOf(expert),
        dtype: stored.type.name,
        shape,
        byteLength,
        range: partOf(read, expert * byteLength),
      };
    });
  }

  #packed(name: string, suffix: string, gate: GgufTensor, up: GgufTensor): ReadableTensor {
    if (gate.shape.join() !== up.shape.join()) {
      const shapes = `[${gate.shape.join(', ')}], and ${quote(up.name)} has [${up.shape.join(', ')}]`;
      throw this.#error('invalid_data', gate, `expected the shape of what is read with it, got ${shapes}`);
    }
    if (gate.type.name !== up.type.name) {
      const types = `${gate.type.name}, and ${quote(up.name)} is ${up.type.name}`;
      throw this.#error(
        'unsupported',
        gate,
        `expected one type for gate and up, which this architecture has in one tensor, got ${types}`,
      );
    }
    const [experts, inner, ...columns] = gate.shape as [number, number, ...number[]];
    const width = gate.byteLength / Math.max(1, experts * inner);
    const { interleaved } = this.#experts as Extract<ExpertTensors, { packed: string }>;
    return {
      ...this.#named(name, suffix),
      dtype: gate.type.name,
      shape: [experts, 2 * inner, ...columns],
      byteLength: 2 * gate.byteLength,
      range: inTurns([this.#read(gate), this.#read(up)], width, interleaved ? 1 : inner),
    };
  }

  #named(name: string, suffix: string): { name: string; outFirst?: true } {
    return suffix === 'weight' ? { name, outFirst: true } : { name };
  }

  #checkSides(stored: GgufTensor, sides: number): void {
    if (stored.shape.length === sides) return;
    const expected = sides === 3 ? '[experts, out features, in features]' : '[experts, out features]';
    throw this.#error('invalid_data', stored, `expected ${expected}, got the shape [${stored.shape.join(', ')}]`);
  }

  #error(code: 'invalid_data' | 'unsupported', { name }: GgufTensor, reason: string): SubzeroError {
    return new SubzeroError(code, `${this.#path}: tensor ${quote(name)}: ${reason}`, { parameter: this.#path });
  }
}
