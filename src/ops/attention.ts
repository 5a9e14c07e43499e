/**
 * Attention over key ranges.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import { spread } from '../gpu/recorder.ts';
import type { Activation } from '../tensor/workspace.ts';
import { type OperationContext, perElement } from './context.ts';

/** How the work is cut; see the heads of kernels/attention/*.wgsl. */
export type AttentionVariant = 'direct' | 'workgroup';

export interface AttentionOptions {
  heads: number;
  keyHeads: number;
  headWidth: number;
  /** vec4<u32> per row of a probe: the two ranges of key rows that it sees. */
  ranges: GpuBuffer;
  /** Key rows from one probe's keys to the next; 0 when all probes read the same keys (a cache). */
  keyStride: number;
  /** For tests and benchmarks; chosen by the adapter otherwise. */
  variant?: AttentionVariant;
}

/**
 * @param q [rows, heads · headWidth]
 * @param k @param v key rows × (keyHeads · headWidth)
 * @returns [rows, heads · headWidth]
 */
export function attention(
  context: OperationContext,
  q: Activation,
  k: GpuBuffer,
  v: GpuBuffer,
  options: AttentionOptions,
): Activation {
  const { gpu, workspace, probes } = context;
  const y = workspace.take(q.rows, q.columns);
  const variant = options.variant ?? (gpu.kernelStyle === 'software' ? 'direct' : 'workgroup');
  gpu.recorder.dispatch(
    gpu.kernel({ files: [`attention/${variant}.wgsl`], constants: { HEAD_QUADS: options.headWidth / 4 } }),
    [q.buffer, k, v, options.ranges, y.buffer],
    {
      rows: q.rows,
      heads: options.heads,
      key_heads: options.keyHeads,
      rows_per_probe: q.rows / probes.count,
      key_stride: options.keyStride,
      head_quads: options.headWidth / 4,
      scale: 1 / Math.sqrt(options.headWidth),
    },
    variant === 'direct' ? perElement(q.rows * options.heads) : spread(q.rows * options.heads),
  );
  return y;
}
