/**
 * The slopes of ALiBi.
 *
 * @module
 */

import type { Alibi } from './decoder.ts';

/**
 * What each head's scores lose from one token to the one before it, as transformers has it: 2^(−8·i/n) for i = 1…n of
 * n heads, where n is a power of two. Of other numbers, the first heads have the slopes of the power of two below, and
 * the rest every second slope of the power of two above, from its first one on.
 *
 * @returns [heads]
 */
export function alibiSlopes({ heads, rounded }: Alibi): Float32Array<ArrayBuffer> {
  const power = 2 ** Math.floor(Math.log2(heads));
  const slopes = Float32Array.from({ length: heads }, (_, head) =>
    head < power ? 2 ** ((-8 * (head + 1)) / power) : 2 ** ((-4 * (2 * (head - power) + 1)) / power),
  );
  return rounded ? slopes.map(toBfloat16) : slopes;
}

/** The nearest bfloat16 of a positive number of single precision, of two the even one. */
function toBfloat16(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  const bits = view.getUint32(0);
  view.setUint32(0, (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000);
  return view.getFloat32(0);
}
