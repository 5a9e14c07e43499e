/**
 * The small, exact part of a model: all 1-D parameters and, while training, every S matrix, in one f32 buffer. One
 * launch perturbs or updates all of it.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';

/** Every entry starts at a multiple of this many elements, so that a workgroup works on one entry only. */
export const stateBlock = 256;

/** A 1-D parameter, a tensor that a scheme adds to the model, or the S matrix of a 2-D one. */
export interface StateEntry {
  name: string;
  kind: 'vector' | 'adapter' | 'factor';
  /** Elements. */
  length: number;
  /** Identity for the random numbers (see random/philox.ts). */
  tensor: number;
  trains: boolean;
}

export interface PlacedStateEntry extends StateEntry {
  /** First element. */
  offset: number;
}

/** Where everything lies. */
export interface StateLayout {
  entries: PlacedStateEntry[];
  /** Elements in all, a multiple of {@link stateBlock}, at least one block. */
  size: number;
  /** Four u32 per block, as kernels/zo/perturb.wgsl reads them. */
  blocks: Uint32Array;
}

export function layOutState(entries: readonly StateEntry[]): StateLayout {
  const placed: PlacedStateEntry[] = [];
  const blocks: number[] = [];
  let offset = 0;
  for (const entry of entries) {
    placed.push({ ...entry, offset });
    for (let first = 0; first < entry.length; first += stateBlock) {
      const flags = (entry.trains ? 1 : 0) | (entry.kind === 'factor' ? 2 : 0) | (entry.kind === 'vector' ? 0 : 4);
      blocks.push(entry.tensor, first, Math.min(stateBlock, entry.length - first), flags);
    }
    offset += Math.ceil(entry.length / stateBlock) * stateBlock;
  }
  if (blocks.length === 0) blocks.push(0, 0, 0, 0);
  return { entries: placed, size: Math.max(stateBlock, offset), blocks: new Uint32Array(blocks) };
}

/** Reserves a zeroed state buffer of a layout. */
export function allocateState(gpu: Gpu, layout: StateLayout, label: string, copies = 1): GpuBuffer {
  return gpu.allocate(layout.size * 4 * copies, 'state', label);
}
