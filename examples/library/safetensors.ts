/**
 * Reads tensors of a model by ranges, without loading files into memory, and writes a file of one's own.
 *
 * Run: `node safetensors.ts [MODEL]` (or bun, or deno run --allow-all), with `subzero-webgpu` installed.
 */

import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { bf16ToF32, openModelWeights, openSafetensors, writeSafetensors } from 'subzero-webgpu/safetensors';

const model = process.argv[2] ?? 'node_modules/subzero-webgpu/examples/reviews-3m';

const weights = await openModelWeights(model);
for (const { name, dtype, shape } of [...weights.tensors.values()].slice(0, 3)) {
  console.log(`${name}: ${dtype} [${shape.join(', ')}]`);
}
// The first four numbers of a tensor, at two bytes each.
const bytes = await weights.read('model.norm.weight', 0, 8);
const firstFour = bf16ToF32(new Uint16Array(bytes.buffer));
await weights.close();

const file = join(await mkdtemp('safetensors-example-'), 'first-four.safetensors');
const data = () => [new Uint8Array(firstFour.buffer)];
await writeSafetensors(file, [{ name: 'first', dtype: 'F32', shape: [4], data }], { from: 'model.norm.weight' });

const written = await openSafetensors(file);
const read = new Float32Array((await written.read('first')).buffer);
console.log(`written and read again: ${read.every((value, index) => value === firstFour[index])}`);
await written.close();
