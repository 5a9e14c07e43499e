/**
 * Attention over key ranges.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement, spread } from '../gpu/workgroups.ts';
import { Memo } from '../memo.ts';
import { wholeQuads } from '../tensor/axis.ts';
import type { Activation } from '../tensor/workspace.ts';
import { checkMultiple, checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { type SharingVariant, sharingLanes, sharingVariant } from './matmul-choice.ts';
import { inputRows, vectorOf } from './probes.ts';

/** How the work is cut; see the heads of kernels/attention/*.wgsl. */
export type AttentionVariant = 'direct' | SharingVariant | 'workgroup' | 'sliced' | 'tiled';

/** All of them, for tests and benchmarks. */
export const attentionVariants: readonly AttentionVariant[] = [
  'direct',
  'subgroup',
  'four-lanes',
  'workgroup',
  'sliced',
  'tiled',
];

/** Biases of scores by the distance of key and query. */
export interface AlibiBias {
  /** What each head's scores lose from one token to the one before it, [heads] f32. */
  slopes: GpuBuffer;
  /** The factor of all biases; 1 if absent. */
  scale?: number;
  /**
   * Positions and their products with slopes are rounded to bfloat16, as Falcon does; for rows that see everything from
   * position 0 on.
   */
  rounded?: boolean;
}

export interface AttentionOptions {
  heads: number;
  keyHeads: number;
  /** Where 4 does not divide it, zeros lie behind each head. */
  headWidth: number;
  /** vec4<u32> per row of a probe: the two ranges of key rows that it sees. */
  ranges: GpuBuffer;
  /** Key rows from one probe's keys to the next; 0 when all probes read the same keys (a cache). */
  keyStride: number;
  /** The factor of the scores; 1/√headWidth if absent. */
  scale?: number;
  /** The bound c of the scores s, which become c·tanh(s/c). */
  softCap?: number;
  /** Name of the scores [heads] that take part in every softmax without a value. */
  sinks?: string;
  /** What scores fall by with the distance of their key; see {@link AlibiBias}. */
  alibi?: AlibiBias;
  /** Most keys that a row sees, as far as the caller knows. */
  longest?: number;
  /** For tests and benchmarks; chosen by the adapter otherwise. */
  variant?: AttentionVariant;
}

/** Rows of a probe from which sharing tiles of keys among them pays on a GPU. */
const tiledRows = 32;

/**
 * Width of a head from which subgroups share keys on software adapters. Runs may go on with either kernel, since both
 * give the same bits from this width on; for heads of two quads the last bits differ on Mesa's adapter.
 */
export const leastSharedWidth = 12;

/** Keys from which cutting them into slices pays on a GPU, and the workgroups that keep it busy. */
const slicedKeys = 256;
const enoughWorkgroups = 256;
const mostSlices = 16;

/** Tiles of attention/tiled.wgsl, best first. */
const smallestTile = { ROWS: 2, KEYS: 4 };
const attentionTiles = [
  ...[16, 8, 4].flatMap((ROWS) => [32, 16, 8].map((KEYS) => ({ ROWS, KEYS }))),
  { ROWS: 4, KEYS: 4 },
  smallestTile,
];

/** Width of a head up to which the smallest tile fits into the least workgroup memory, 16 KiB. */
const widestTiled = 512;

/**
 * The rows and keys of the tiles of attention/tiled.wgsl: as many as fit into the workgroup memory.
 * @param limit bytes
 */
export function attentionTile(headWidth: number, limit: number): { ROWS: number; KEYS: number } {
  const bytes = ({ ROWS, KEYS }: typeof smallestTile): number =>
    4 * (headWidth * (ROWS + KEYS + 1) + ROWS * KEYS + 4 * ROWS) + 8;
  return attentionTiles.find((tile) => bytes(tile) <= limit) ?? smallestTile;
}

/** The file of each variant in kernels/attention/, its name without what it goes by. */
const variantFile: Readonly<Record<AttentionVariant, string>> = {
  direct: 'direct',
  subgroup: 'subgroup',
  'four-lanes': 'subgroup',
  workgroup: 'workgroup',
  sliced: 'workgroup',
  tiled: 'tiled',
};

const definitions = new Memo<KernelDefinition>();
const mergeKernel: KernelDefinition = { files: ['attention/merge.wgsl'] };

/**
 * @param limit bytes of workgroup memory
 * @param softCap the bound of the scores, 0 for none
 */
export function attentionKernel(
  variant: AttentionVariant,
  headWidth: number,
  limit: number,
  softCap = 0,
  hasSinks = false,
  alibi?: Pick<AlibiBias, 'rounded'>,
): KernelDefinition {
  return definitions.get(
    [variant, headWidth, limit, softCap, hasSinks, alibi !== undefined, alibi?.rounded === true],
    () => ({
      files: [
        'soft-cap.wgsl',
        'attention/sink.wgsl',
        'attention/alibi.wgsl',
        'attention/interface.wgsl',
        `attention/${variantFile[variant]}.wgsl`,
      ],
      constants: {
        HEAD_QUADS: headWidth / 4,
        SOFT_CAP: { f32: softCap },
        SINKS: hasSinks,
        ALIBI: alibi !== undefined,
        ALIBI_ROUNDED: alibi?.rounded === true,
        ...variantConstants(variant, headWidth, limit),
      },
    }),
  );
}

function variantConstants(
  variant: AttentionVariant,
  headWidth: number,
  limit: number,
): NonNullable<KernelDefinition['constants']> {
  switch (variant) {
    case 'direct':
      return {};
    case 'subgroup':
    case 'four-lanes':
      return { LANES: sharingLanes[variant] };
    case 'workgroup':
    case 'sliced':
      return { SLICED: variant === 'sliced' };
    case 'tiled':
      return attentionTile(headWidth, limit);
  }
}

/** Rows that a workgroup takes of a probe and head; of `direct`, whose invocations have a row each, 1. */
function rowsOfBlock(variant: AttentionVariant, headWidth: number, limit: number): number {
  switch (variant) {
    case 'subgroup':
    case 'four-lanes':
      return sharingLanes[variant];
    case 'tiled':
      return attentionTile(headWidth, limit).ROWS;
    default:
      return 1;
  }
}

/** The variant for so many rows of each probe on this adapter. */
export function chooseAttention(
  gpu: Pick<Gpu, 'kernelStyle' | 'adapter' | 'features'>,
  shape: { rows: number; rowsPerProbe: number; heads: number; headWidth: number; longest?: number },
): AttentionVariant {
  if (gpu.kernelStyle === 'software') {
    return (shape.headWidth >= leastSharedWidth ? sharingVariant(gpu) : undefined) ?? 'direct';
  }
  if (shape.rowsPerProbe >= tiledRows && shape.headWidth <= widestTiled) return 'tiled';
  const long = (shape.longest ?? 0) >= slicedKeys;
  return long && 2 * shape.rows * shape.heads <= enoughWorkgroups ? 'sliced' : 'workgroup';
}

/**
 * @param q [rows, heads · head width with its pads]
 * @param k @param v key rows × (keyHeads · head width with its pads)
 * @returns as q; zeros where a row sees no key
 */
export function attention(
  context: OperationContext,
  q: Activation,
  k: GpuBuffer,
  v: GpuBuffer,
  options: AttentionOptions,
): Activation {
  const { gpu, workspace, probes } = context;
  const { heads, keyHeads, ranges, keyStride, longest, alibi } = options;
  const headWidth = wholeQuads(options.headWidth);
  const { rows } = q;
  checkShape('attention', 'q', q, rows, heads * headWidth);
  checkMultiple('attention', 'the number of heads', heads, keyHeads, 'the number of key heads');
  checkMultiple('attention', 'rows', rows, probes.count, 'the number of probes');
  const y = workspace.take(rows, q.columns);
  const rowsPerProbe = rows / probes.count;
  const variant =
    options.variant ??
    chooseAttention(gpu, { rows, rowsPerProbe, heads, headWidth, ...(longest === undefined ? {} : { longest }) });
  const sinks = vectorOf(probes, options.sinks);
  const sinkBuffer = sinks?.buffer ?? gpu.unused;
  const limit = gpu.device.limits.maxComputeWorkgroupStorageSize;
  const slopes = alibi?.slopes ?? gpu.unused;
  const kernel = gpu.kernel(attentionKernel(variant, headWidth, limit, options.softCap, sinks !== undefined, alibi));
  const slices = variant === 'sliced' ? Math.min(mostSlices, Math.ceil(enoughWorkgroups / (rows * heads))) : 1;
  const parameters = {
    rows,
    heads,
    key_heads: keyHeads,
    rows_per_probe: rowsPerProbe,
    input_rows: inputRows(probes, rows),
    key_stride: keyStride,
    head_quads: headWidth / 4,
    slices,
    scale: options.scale ?? 1 / Math.sqrt(options.headWidth),
    sink_offset: sinks?.offset ?? 0,
    sink_stride: sinks?.stride ?? 0,
    alibi_scale: alibi?.scale ?? 1,
  };
  if (variant === 'sliced') {
    const count = rows * heads;
    const parts = workspace.takeElements(count * slices * (headWidth + 2));
    gpu.recorder.dispatch(
      kernel,
      [q.buffer, k, v, ranges, parts.buffer, sinkBuffer, slopes],
      parameters,
      spread(count * slices),
    );
    gpu.recorder.dispatch(
      gpu.kernel(mergeKernel),
      [parts.buffer, y.buffer],
      { count, slices, width: headWidth },
      perElement(count * headWidth),
    );
    workspace.give(parts);
    return y;
  }
  const blockRows = rowsOfBlock(variant, headWidth, limit);
  gpu.recorder.dispatch(
    kernel,
    [q.buffer, k, v, ranges, y.buffer, sinkBuffer, slopes],
    parameters,
    variant === 'direct'
      ? perElement(rows * heads)
      : spread(Math.ceil(rowsPerProbe / blockRows) * probes.count * heads),
  );
  return y;
}
