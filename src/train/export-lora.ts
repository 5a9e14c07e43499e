/**
 * A LoRA run as files: a PEFT adapter, or merged into its matrices. What a bank keeps is merged alike.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import type { Model } from '../model/model.ts';
import { transposedWeights } from '../model/parameters.ts';
import type { LoraPair } from '../ops/probes.ts';
import { f32ToBytes } from '../safetensors/index.ts';
import { shapeOf, type Weight } from '../tensor/weight.ts';
import { refuseNamesOfExperts } from '../tuning/peft-names.ts';
import { codecs } from '../weights/index.ts';
import type { LowRank } from '../zo/low-rank.ts';
import type { SubZero } from '../zo/subzero.ts';
import { type PeftAdapter, peftTensor } from './peft.ts';
import { weightBytes, weightValues } from './weight-bytes.ts';

/** Values of adapter tensors by name. */
type Values = ReadonlyMap<string, Float32Array>;

/**
 * The pairs as they are: PEFT's LoRA is the same.
 * @param lora by weight name
 * @throws SubzeroError `unsupported` for layers whose names PEFT takes for those of experts
 */
export function loraPeft(
  lora: ReadonlyMap<string, LoraPair>,
  { weights, decoder }: Pick<Model, 'weights' | 'decoder'>,
  values: Values,
): PeftAdapter {
  const modules = [...lora.keys()].map(moduleOf);
  refuseNamesOfExperts(decoder, modules);
  const transposed = transposedWeights(decoder);
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
      fan_in_fan_out: [...lora.keys()].some((name) => transposed.has(name)),
      init_lora_weights: true,
      target_modules: modules,
      use_rslora: false,
      use_dora: false,
    },
  };
}

/** The module of a weight. */
function moduleOf(weight: string): string {
  return weight.replace(/\.weight$/, '');
}

/** B A of a pair of a weight [rows, columns] term by term. @param values those of adapter tensors */
export function pairTerms(
  { rank, a: nameOfA, b: nameOfB }: LoraPair,
  values: Values,
  [rows, columns]: readonly [number, number],
): LowRank {
  const [a, b] = [values.get(nameOfA)!, values.get(nameOfB)!];
  return {
    left: Array.from({ length: rank }, (_, j) => Float64Array.from({ length: rows }, (__, row) => b[row * rank + j]!)),
    right: Array.from({ length: rank }, (_, j) => Float64Array.from(a.subarray(j * columns, (j + 1) * columns))),
  };
}

/** The bytes of a weight and the change that a run keeps beside it, as {@link mergedBytes}. */
export async function* bankedBytes(gpu: Gpu, weight: Weight, run: SubZero): AsyncGenerator<Uint8Array> {
  const change = await run.bankedChange(weight.name);
  yield* change ? mergedBytes(gpu, weight, change, 1, change.baseScale) : weightBytes(gpu, weight);
}

/** The bytes of {@link changedValues} as exports have W, piece by piece. */
export async function* mergedBytes(
  gpu: Gpu,
  weight: Weight,
  change: LowRank,
  scale = 1,
  baseScale = 1,
): AsyncGenerator<Uint8Array> {
  const { dtype } = codecs[weight.storage];
  for await (const values of changedValues(gpu, weight, change, scale, baseScale)) yield f32ToBytes(dtype, values);
}

/** baseScale · W + scale · change, sums in f64 and rounded to f32, whole rows at a time. */
export async function* changedValues(
  gpu: Gpu,
  weight: Weight,
  { left, right }: LowRank,
  scale = 1,
  baseScale = 1,
): AsyncGenerator<Float32Array> {
  const [, columns] = shapeOf(weight);
  let element = 0;
  for await (const values of weightValues(gpu, weight)) {
    const merged = values.map((value, index) => {
      const row = Math.floor((element + index) / columns);
      const column = (element + index) % columns;
      let sum = 0;
      for (let j = 0; j < left.length; j++) sum += left[j]![row]! * right[j]![column]!;
      return baseScale * value + scale * sum;
    });
    element += merged.length;
    yield merged;
  }
}
