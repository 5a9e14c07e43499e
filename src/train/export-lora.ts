/**
 * A LoRA run as files: a PEFT adapter, or merged into its matrices.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import type { Model } from '../model/model.ts';
import { transposedWeights } from '../model/parameters.ts';
import type { LoraPair } from '../ops/probes.ts';
import { bytesToF32, f32ToBytes } from '../safetensors/index.ts';
import { shapeOf, type Weight } from '../tensor/weight.ts';
import { codecs } from '../weights/index.ts';
import { type PeftAdapter, peftTensor } from './peft.ts';
import { weightBytes } from './weight-bytes.ts';

/** Values of adapter tensors by name. */
type Values = ReadonlyMap<string, Float32Array>;

/** The pairs as they are: PEFT's LoRA is the same. @param lora by weight name */
export function loraPeft(
  lora: ReadonlyMap<string, LoraPair>,
  { weights, decoder }: Pick<Model, 'weights' | 'decoder'>,
  values: Values,
): PeftAdapter {
  const transposed = transposedWeights(decoder);
  const tensors = [...lora].flatMap(([name, { rank, a, b }]) => {
    const [rows, columns] = shapeOf(weights.get(name)!);
    return [peftTensor(a, [rank, columns], values.get(a)!), peftTensor(b, [rows, rank], values.get(b)!)];
  });
  const { rank, scale } = [...lora.values()][0]!;
  return {
    tensors,
    config: {
      peft_type: 'LORA',
      r: rank,
      lora_alpha: scale * rank,
      lora_dropout: 0,
      bias: 'none',
      fan_in_fan_out: [...lora.keys()].some((name) => transposed.has(name)),
      init_lora_weights: true,
      target_modules: [...lora.keys()].map((name) => name.replace(/\.weight$/, '')),
      use_rslora: false,
      use_dora: false,
    },
  };
}

/** The bytes of W + scale · B A in the storage type of W, sums in f64, piece by piece. */
export async function* mergedBytes(
  gpu: Gpu,
  weight: Weight,
  { rank, scale, a: nameOfA, b: nameOfB }: LoraPair,
  values: Values,
): AsyncGenerator<Uint8Array> {
  const [, columns] = shapeOf(weight);
  const [a, b] = [values.get(nameOfA)!, values.get(nameOfB)!];
  const dtype = codecs[weight.storage].dtype;
  let element = 0;
  for await (const bytes of weightBytes(gpu, weight)) {
    const merged = bytesToF32(dtype, bytes).map((value, index) => {
      const row = Math.floor((element + index) / columns);
      const column = (element + index) % columns;
      let sum = 0;
      for (let j = 0; j < rank; j++) sum += b[row * rank + j]! * a[j * columns + column]!;
      return value + scale * sum;
    });
    element += merged.length;
    yield f32ToBytes(dtype, merged);
  }
}
