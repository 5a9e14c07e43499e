/**
 * What the sublayers of a pass share: its input, and operations by the description's entries.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { AlibiBias } from '../ops/attention.ts';
import type { OperationContext } from '../ops/context.ts';
import { type LinearOptions, linear, linears } from '../ops/linear.ts';
import { norm } from '../ops/norm.ts';
import type { RopeTable } from '../ops/rope.ts';
import { add, virtualRows } from '../ops/rows.ts';
import type { Runs } from '../ops/runs.ts';
import type { Axis } from '../tensor/axis.ts';
import type { Activation } from '../tensor/workspace.ts';
import type { KeyValueCache, RecurrentState } from './cache.ts';
import { type Alibi, attentions, type Linear, type Norm, type Sublayer } from './decoder.ts';
import type { Model } from './model.ts';
import type { RopePosition } from './rope-table.ts';

/**
 * The input of a pass on the GPU. Arrays hold one entry per row of a probe, which all probes share, or per row of all
 * probes where each has its own (`ownInputs`); numbers of rows are within a probe, but for those of runs.
 */
export interface ForwardInput {
  ids: GpuBuffer;
  positions: GpuBuffer;
  /** Rows of the table of token types, in models that have one. */
  tokenTypes?: GpuBuffer;
  /** The rotary tables that `positions` are rows of, where they are not the model's own. */
  ropeTables?: ReadonlyMap<RopePosition, RopeTable>;
  /** Key ranges of layers that see everything, and of layers with a sliding window. */
  ranges: GpuBuffer;
  windowRanges?: GpuBuffer;
  /** Most keys that a row sees, as far as the caller knows. */
  longest?: number;
  /** Rows per probe. */
  rows: number;
  /** Rows per probe whose hidden state is wanted, and their numbers. */
  labelRows: GpuBuffer;
  labelCount: number;
  /** The rows of each sequence, for layers that carry a state from token to token. */
  runs?: Runs;
  /** Keys, values and states of earlier tokens; new keys and values are written to the rows that `slots` names. */
  cache?: { cache: Pick<KeyValueCache, 'keys' | 'values' | 'states'>; slots: GpuBuffer };
}

/** Keys and values of a layer. */
export type KeysAndValues = readonly [keys: Activation, values: Activation];

/** How what a sublayer gives enters the sum. */
type Addition = Pick<Sublayer, 'after' | 'residualScale' | 'sumScale'>;

export class Pass {
  readonly model: Model;
  readonly context: OperationContext;
  readonly input: ForwardInput;
  /** What layers read of the tokens besides, in models with such. */
  layerInputs?: Activation;
  /** Layers with keys of their own recorded so far: the number of the next one, in the cache and in a prefix. */
  keyMakerCount = 0;
  /** Keys and values that layers will read once more, by the layer that made them, and how many of these there are. */
  readonly #kept = new Map<number, KeysAndValues>();
  readonly #readers = new Map<number, number>();
  /** Recurrent sublayers recorded so far: the number of the next one in the cache. */
  #recurrentCount = 0;

  constructor(model: Model, context: OperationContext, input: ForwardInput) {
    this.model = model;
    this.context = context;
    this.input = input;
    for (const attention of attentions(model.decoder)) {
      if (!('keysOf' in attention)) continue;
      this.#readers.set(attention.keysOf, (this.#readers.get(attention.keysOf) ?? 0) + 1);
    }
  }

  /** Keys and values that an earlier layer made. */
  keptKeys(layer: number): KeysAndValues {
    const kept = this.#kept.get(layer);
    if (!kept) throw new Error(`the keys and values of layer ${layer} are not there`);
    return kept;
  }

  /** Called by each layer that has read keys and values: keeps them for the others, or gives them back. */
  doneWithKeys(layer: number, made: KeysAndValues): void {
    const readers = this.#readers.get(layer) ?? 0;
    if (readers === 0) {
      this.#kept.delete(layer);
      this.context.workspace.give(...made);
    } else {
      this.#kept.set(layer, made);
      this.#readers.set(layer, readers - 1);
    }
  }

  /** The table of a layer's rotation. */
  ropeTable(rotation: RopePosition): RopeTable {
    const table = (this.input.ropeTables ?? this.model.ropeTables).get(rotation);
    if (!table) throw new Error('the pass has no table of this rotation');
    return table;
  }

  /** The biases of a layer with their slopes. */
  alibi(alibi: Alibi): AlibiBias {
    const { scale, rounded } = alibi;
    const slopes = this.model.alibiSlopes.get(alibi);
    if (!slopes) throw new Error('the model has no slopes of these biases');
    return { slopes, ...(scale === undefined ? {} : { scale }), ...(rounded ? { rounded } : {}) };
  }

  /** The rows of each sequence, and the state of the next recurrent sublayer where the pass has a cache. */
  nextRecurrence(): { runs: Runs; state?: RecurrentState } {
    const { runs, cache } = this.input;
    if (!runs) throw new Error('the pass has no runs, which layers with a state need');
    const state = cache?.cache.states[this.#recurrentCount++];
    return { runs, ...(state ? { state } : {}) };
  }

  /** A normalised copy. */
  norm(x: Activation, { kind, epsilon, width, gain, shift, gainOffset = 0 }: Norm): Activation {
    return norm(this.context, x, {
      kind,
      epsilon,
      groupWidth: width,
      gainOffset,
      ...(gain ? { gain } : {}),
      ...(shift ? { shift } : {}),
    });
  }

  linear(x: Activation, { weight, bias }: Linear, options: Omit<LinearOptions, 'bias'> = {}): Activation {
    return linear(this.context, x, this.model.weight(weight), { ...(bias ? { bias } : {}), ...options });
  }

  /** Adds the last layer of a sublayer to the sum, by way of the norm and with the factor that the sublayer has. */
  addTo(sum: Activation, x: Activation, layer: Linear, sublayer: Addition): void {
    if (!sublayer.after && sublayer.residualScale === undefined && !sublayer.sumScale) {
      this.linear(x, layer, { addTo: sum });
      return;
    }
    this.addResult(sum, this.linear(x, layer), sublayer);
  }

  /** Adds what a sublayer gives to the sum, by way of the norm and with the factors that it has, and gives it back. */
  addResult(sum: Activation, result: Activation, { after, residualScale, sumScale }: Addition): void {
    let given = result;
    if (after) given = this.replace(given, this.norm(given, after));
    add(this.context, sum, given, residualScale, sumScale === undefined ? undefined : this.#number(sumScale));
    this.context.workspace.give(given);
  }

  /** A number of the checkpoint that does not train. */
  #number(name: string): number {
    const [value] = this.model.vectors.get(name) ?? [];
    if (value === undefined) throw new Error(`the model has no number "${name}"`);
    return value;
  }

  /** Several layers over the same x, one activation for each. */
  linears(x: Activation, ...layers: readonly Linear[]): Activation[] {
    return linears(
      this.context,
      x,
      layers.map(({ weight, bias }) => ({ weight: this.model.weight(weight), ...(bias ? { bias } : {}) })),
    );
  }

  /** Gives an activation back for a function of it. */
  replace(x: Activation, next: Activation): Activation {
    this.context.workspace.give(x);
    return next;
  }

  /** Fills in the rows of virtual tokens from a tensor of a scheme. */
  fillIn(x: Activation, name: string, columns: Axis): void {
    virtualRows(this.context, x, this.input.ids, this.model.decoder.vocabularySize, name, columns);
  }
}
