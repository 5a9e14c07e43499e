/**
 * The log-softmax of logits at chosen tokens, chunk by chunk over the vocabulary.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { spread } from '../gpu/workgroups.ts';

/**
 * Records what a chunk of logits adds.
 *
 * @param logits [rows, columns], the vocabulary's entries from `columnStart` on
 * @param targets (label row within its probe, token) pairs
 * @param running (maximum, Σ exp) per row, begun where the chunk is the `first`
 * @param picked the logit of each target, [probes · targets]
 */
export function recordLabelLoss(
  gpu: Gpu,
  { logits, targets, running, picked }: Record<'logits' | 'targets' | 'running' | 'picked', GpuBuffer>,
  shape: {
    rows: number;
    columns: number;
    columnStart: number;
    rowsPerProbe: number;
    targetCount: number;
    first: boolean;
  },
): void {
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['label-loss.wgsl'] }),
    [logits, targets, running, picked],
    {
      rows: shape.rows,
      columns: shape.columns,
      column_start: shape.columnStart,
      rows_per_probe: shape.rowsPerProbe,
      target_count: shape.targetCount,
      first: shape.first ? 1 : 0,
    },
    spread(shape.rows),
  );
}
