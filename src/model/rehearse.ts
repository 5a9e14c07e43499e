/**
 * Compiling a model's kernels before they are needed: a forward pass that only asks for them, while the weights are
 * still on their way.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import { topLogits } from '../ops/top-logits.ts';
import { EmptyBuffers } from '../tensor/named-buffers.ts';
import { type Activation, Workspace } from '../tensor/workspace.ts';
import { generates, keyMakers, recurrents } from './decoder.ts';
import { forward } from './forward.ts';
import { logitsOf, scoreTargets } from './head.ts';
import type { Model } from './model.ts';

/**
 * A token by token pass at the beginning and after a while, one of a few sequences at once, and one of a long prompt or
 * a training batch.
 */
const rehearsedPasses = [
  { rows: 1, longest: 1 },
  { rows: 1, longest: 4096 },
  { rows: 16, longest: 4096 },
  { rows: 512, longest: 4096 },
];

/** Shapes without memory. */
class EmptyWorkspace extends Workspace {
  override take(rows: number, columns: number): Activation {
    return { buffer: this.gpu.unused, rows, columns };
  }

  override give(): void {}
}

/**
 * Starts to compile the kernels of plain inference and of scoring; those of an optimiser are few and come at its first
 * step. The weights' buffers must exist, their content is not looked at.
 */
export function rehearse(model: Model): void {
  const { gpu, decoder } = model;
  const context = { gpu, workspace: new EmptyWorkspace(gpu), probes: model.plainProbes, plans: model.plans };
  const scratch = new EmptyBuffers(gpu);
  const nothing = Array<GpuBuffer>(keyMakers(decoder).length).fill(gpu.unused);
  const states = recurrents(decoder).map(() => ({ inputs: gpu.unused, matrices: gpu.unused }));
  const isGenerator = generates(decoder);
  const cache = isGenerator ? { cache: { cache: { keys: nothing, values: nothing, states }, slots: gpu.unused } } : {};
  const runs = { table: gpu.unused, ofRows: gpu.unused, count: 1 };
  gpu.recorder.rehearse(() => {
    for (const { rows, longest } of rehearsedPasses) {
      const hidden = forward(model, context, {
        longest,
        ...{ ids: gpu.unused, positions: gpu.unused, tokenTypes: gpu.unused, ranges: gpu.unused },
        ...{ windowRanges: gpu.unused, rows, ...cache, labelRows: gpu.unused, labelCount: rows, runs },
      });
      logitsOf(model, context, hidden, scratch);
      if (isGenerator) topLogits(gpu, gpu.unused, { rows, columns: decoder.vocabularySize }, gpu.unused, gpu.unused);
      scoreTargets(model, context, hidden, { buffer: gpu.unused, count: 1 }, scratch);
    }
  });
}
