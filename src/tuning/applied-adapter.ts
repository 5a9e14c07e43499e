/**
 * An adapter beside a model that stays as it is, for inference: several of them share the memory of one model.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Model } from '../model/model.ts';
import { recordGains } from '../ops/lora-gain.ts';
import type { Probes } from '../ops/probes.ts';
import { allocateState, layOutState } from '../tensor/state.ts';
import { type Adapter, adapterBytes, adapterEntries } from './adapter.ts';

/** How many have been made. */
let made = 0;

export class AppliedAdapter {
  /** Ascending in the order in which adapters were made, which is that in which those of a text are added. */
  readonly number = made++;
  /** Whether it is a DoRA, which is no sum of the base and a change, and cannot be mixed with others. */
  readonly hasGains: boolean;
  /** The model with the adapter. */
  readonly probes: Probes;
  readonly #state: GpuBuffer;

  /** @throws SubzeroError `unsupported` for an adapter larger than one binding of the device */
  constructor(model: Model, adapter: Adapter) {
    const { gpu } = model;
    const bytes = adapterBytes(adapter.tensors);
    if (bytes > gpu.bindingLimit) {
      throw new SubzeroError(
        'unsupported',
        `the LoRA takes ${formatBytes(bytes)}; one storage binding of this GPU holds at most ` +
          `${formatBytes(gpu.bindingLimit)}. Merge it into the model with PEFT's merge_and_unload()`,
        { parameter: 'lora' },
      );
    }
    const layout = layOutState(adapterEntries(adapter.tensors));
    this.#state = allocateState(gpu, layout, 'adapter');
    const vectors = new Map(layout.entries.map(({ name, offset }) => [name, offset]));
    for (const { name, values } of adapter.tensors) this.#state.write(values, vectors.get(name)! * 4);
    const plain = model.plainProbes;
    this.probes = {
      ...plain,
      ...{ state: this.#state, vectors, frozen: { state: plain.state, vectors: plain.vectors } },
      adapter,
    };
    const pairs = [...(adapter.lora ?? [])];
    this.hasGains = pairs.some(([, pair]) => pair.gain !== undefined);
    for (const [weight, pair] of pairs) if (pair.gain) recordGains(gpu, model.weight(weight), pair, this.probes);
    if (this.hasGains) gpu.recorder.submit();
  }

  destroy(): void {
    this.#state.destroy();
  }
}
