/**
 * A LoRA run as files: a PEFT adapter, or merged into its matrices.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
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
  weights: ReadonlyMap<string, Weight>,
  values: Values,
): PeftAdapter {
  const tensors = [...lora].flatMap(([name, { rank, a, b }]) => {
    const [rows, columns] = shapeOf(weights.get(name)!);
    return [peftTensor(a, [rank, columns], values.get(a)!), peftTensor(b, [rows, rank], values.get(b)!)];
  });
  const { rank, scale } = [...lora.values()][0]!;
  const alpha = scale * rank;
  const others = (differs: (pair: LoraPair) => boolean, of: (pair: LoraPair) => number): Record<string, number> =>
    Object.fromEntries([...lora].filter(([, pair]) => differs(pair)).map(([name, pair]) => [moduleOf(name), of(pair)]));
  const alphaOf = (pair: LoraPair): number => pair.scale * pair.rank;
  const rankPattern = others(
    (pair) => pair.rank !== rank,
    (pair) => pair.rank,
  );
  const alphaPattern = others((pair) => alphaOf(pair) !== alpha, alphaOf);
  return {
    tensors,
    config: {
      peft_type: 'LORA',
      r: rank,
      lora_alpha: alpha,
      ...(Object.keys(rankPattern).length > 0 ? { rank_pattern: rankPattern } : {}),
      ...(Object.keys(alphaPattern).length > 0 ? { alpha_pattern: alphaPattern } : {}),
      lora_dropout: 0,
      bias: 'none',
      fan_in_fan_out: false,
      init_lora_weights: true,
      target_modules: [...lora.keys()].map(moduleOf),
      use_rslora: false,
      use_dora: false,
    },
  };
}

/** The module of a weight. */
function moduleOf(weight: string): string {
  return weight.replace(/\.weight$/, '');
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
