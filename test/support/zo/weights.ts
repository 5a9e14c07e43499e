/**
 * Weights read back from the GPU, and the weights that a factored run stands for, formed in float64.
 *
 * @module
 */

import { createHash } from 'node:crypto';
import type { Model } from '../../../src/model/model.ts';
import { axisLength, storedIndex } from '../../../src/tensor/axis.ts';
import { layoutOf, shapeOf, type Weight } from '../../../src/tensor/weight.ts';
import { codecs, rowBytes } from '../../../src/weights/index.ts';
import { Mezo } from '../../../src/zo/mezo.ts';
import type { ZerothOrderOptimizer } from '../../../src/zo/optimizer.ts';
import { SubZero } from '../../../src/zo/subzero.ts';

/** The stored bytes of a weight, all parts one after the other. */
export async function storedBytes(model: Model, weight: Weight): Promise<Uint8Array> {
  const parts = await model.gpu.recorder.read(
    weight.parts.map(({ buffer, rowCount }) => ({
      buffer,
      bytes: rowCount * rowBytes(weight.storage, weight.columns),
    })),
  );
  return Buffer.concat(parts.map((part) => new Uint8Array(part)));
}

/**
 * The bytes of every parameter as the model itself holds it, 1-D ones too: what a run does not train stays as it is
 * here.
 */
export async function modelBytes(model: Model): Promise<Map<string, Uint8Array>> {
  const result = new Map<string, Uint8Array>();
  for (const weight of model.weights.values()) result.set(weight.name, await storedBytes(model, weight));
  const { state, vectors } = model.plainProbes;
  const places = [...vectors].map(([name, offset]) => {
    return { name, buffer: state, offset: offset * 4, bytes: model.vectors.get(name)!.length * 4 };
  });
  const data = await model.gpu.recorder.read(places);
  for (const [index, { name }] of places.entries()) result.set(name, new Uint8Array(data[index]!));
  return result;
}

/**
 * A weight [rows, columns] as f32.
 * @throws Error where a pad is not zero
 */
export async function weightValues(model: Model, weight: Weight): Promise<Float32Array> {
  const stored = codecs[weight.storage].unpack(await storedBytes(model, weight));
  const { rows, columns } = layoutOf(weight);
  const [, width] = shapeOf(weight);
  const values = Float32Array.from({ length: axisLength(rows) * width }, (_, index) => {
    const row = storedIndex(rows, Math.floor(index / width));
    return stored[row * weight.columns + storedIndex(columns, index % width)]!;
  });
  const others = (of: Float32Array) => of.reduce((count, value) => count + (value === 0 ? 0 : 1), 0);
  if (others(stored) !== others(values)) throw new Error(`pads of ${weight.name} are not zero`);
  return values;
}

/** W + μ U S Vᵀ of one weight, in float64. */
export function withChange(
  base: ArrayLike<number>,
  change: { rank: number; scale: number; u: ArrayLike<number>; s: ArrayLike<number>; v: ArrayLike<number> },
  [rows, columns]: readonly [number, number],
  baseScale = 1,
): Float64Array {
  const { rank, scale, u, s, v } = change;
  const result = new Float64Array(rows * columns);
  const us = new Float64Array(rank);
  for (let i = 0; i < rows; i++) {
    for (let b = 0; b < rank; b++) {
      us[b] = 0;
      for (let a = 0; a < rank; a++) us[b]! += scale * u[i * rank + a]! * s[a * rank + b]!;
    }
    for (let j = 0; j < columns; j++) {
      let value = baseScale * base[i * columns + j]!;
      for (let b = 0; b < rank; b++) value += us[b]! * v[j * rank + b]!;
      result[i * columns + j] = value;
    }
  }
  return result;
}

/** W, decayed, and the change that a bank keeps, the open period's with it, in float64; `undefined` without a bank. */
export async function withBank(
  subzero: SubZero,
  weight: Weight,
  base: ArrayLike<number>,
): Promise<Float64Array | undefined> {
  const change = await subzero.bankedChange(weight.name);
  if (!change) return undefined;
  const [, columns] = shapeOf(weight);
  return Float64Array.from(base, (value, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    return change.left.reduce((sum, left, k) => sum + left[row]! * change.right[k]![column]!, change.baseScale * value);
  });
}

/** Every parameter as the run stands: W + μ U S Vᵀ, and the 1-D ones. */
export async function effectiveParameters(model: Model, subzero: SubZero): Promise<Map<string, Float64Array>> {
  const { weightScale } = subzero.current;
  const result = new Map<string, Float64Array>();
  for await (const factors of subzero.factors()) {
    const { weight } = factors;
    const base = await weightValues(model, weight);
    const changed = withChange(base, factors, shapeOf(weight), weightScale);
    result.set(weight.name, (await withBank(subzero, weight, base)) ?? changed);
  }
  for (const [name, values] of await subzero.vectorValues()) result.set(name, Float64Array.from(values));
  return result;
}

/** All matrices as they are stored, and the 1-D parameters that train. */
export async function storedParameters(
  model: Model,
  optimizer: ZerothOrderOptimizer,
): Promise<Map<string, ArrayLike<number>>> {
  const result = new Map<string, ArrayLike<number>>(await optimizer.vectorValues());
  for (const weight of model.weights.values()) result.set(weight.name, await weightValues(model, weight));
  return result;
}

/** Every parameter that trains as the run stands, whatever the optimiser; of dense ones all matrices. */
export async function currentParameters(
  model: Model,
  optimizer: ZerothOrderOptimizer,
): Promise<Map<string, ArrayLike<number>>> {
  return optimizer instanceof SubZero ? effectiveParameters(model, optimizer) : storedParameters(model, optimizer);
}

/** HiZOO's H of every parameter. */
export async function curvatures(optimizer: ZerothOrderOptimizer): Promise<Map<string, Float64Array>> {
  const logs = await (optimizer as Mezo).logCurvatures();
  return new Map([...logs].map(([name, values]) => [name, Float64Array.from(values, Math.exp)]));
}

/**
 * Digests of everything that a run has changed: stored weights, U, S and V or ln H where there are any, and 1-D
 * parameters, by name. Equal digests, equal bits.
 */
export async function snapshot(model: Model, optimizer: ZerothOrderOptimizer): Promise<Record<string, string>> {
  const result: Record<string, string> = {};
  const digest = (data: Float32Array | Uint8Array): string =>
    createHash('sha256').update(data).digest('hex').slice(0, 32);
  for (const weight of model.weights.values()) {
    result[`${weight.name} stored`] = digest(await storedBytes(model, weight));
  }
  if (optimizer instanceof SubZero) {
    for await (const { weight, u, s, v } of optimizer.factors()) {
      result[`${weight.name} U`] = digest(u);
      result[`${weight.name} S`] = digest(s);
      result[`${weight.name} V`] = digest(v);
      const banked = await optimizer.bankedChange(weight.name);
      if (banked)
        result[`${weight.name} bank`] = digest(
          Float32Array.from([banked.left, banked.right].flat(2).flatMap((vector) => [...vector])),
        );
    }
  }
  if (optimizer instanceof Mezo) {
    for (const [name, values] of await optimizer.logCurvatures()) result[`${name} ln H`] = digest(values);
  }
  for (const [name, values] of await optimizer.vectorValues()) result[name] = digest(values);
  return result;
}
