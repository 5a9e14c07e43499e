/**
 * The values of blocks.
 *
 * @module
 */

import { f16ToF32 } from '../safetensors/convert.ts';

/** Types that are stored in blocks: the f32 values of whole blocks. */
export const blockValues: Readonly<Record<string, (bytes: Uint8Array) => Float32Array<ArrayBuffer>>> = {
  Q8_0: (bytes) => {
    const values = new Float32Array((bytes.byteLength / 34) * 32);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let block = 0; block * 34 < bytes.byteLength; block++) {
      const [scale] = f16ToF32(Uint16Array.of(view.getUint16(block * 34, true)));
      for (let i = 0; i < 32; i++) values[block * 32 + i] = scale! * view.getInt8(block * 34 + 2 + i);
    }
    return values;
  },
};
