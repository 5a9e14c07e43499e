/** Logits of runs and of models, and how far two are apart; the tensors of a model's file. */

import { join } from 'node:path';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { openSafetensors } from '../../src/safetensors/index.ts';
import { restoreRun } from '../../src/train/run.ts';
import { relativeError } from '../support/zo/compare.ts';

/** For each token a row. */
export async function logitsOfRun(gpu: Gpu, run: string, tokens: readonly number[]): Promise<Float32Array[]> {
  const { model, optimizer } = await restoreRun(gpu, run);
  const logits = await sequenceLogits(model, tokens, optimizer.current);
  optimizer.destroy();
  model.destroy();
  return logits;
}

export async function logitsOfModel(gpu: Gpu, directory: string, tokens: readonly number[]): Promise<Float32Array[]> {
  const model = await loadModel(gpu, directory);
  const logits = await sequenceLogits(model, tokens);
  model.destroy();
  return logits;
}

/** The largest relative error of a row. */
export function difference(one: readonly Float32Array[], other: readonly Float32Array[]): number {
  return Math.max(...one.map((row, index) => relativeError(row, other[index]!)));
}

/** The shapes of the tensors of a model's file, by name. */
export async function shapesOf(directory: string): Promise<Record<string, readonly number[]>> {
  const source = await openSafetensors(join(directory, 'model.safetensors'));
  const shapes = [...source.tensors.values()].map(({ name, shape }) => [name, shape] as const);
  await source.close();
  return Object.fromEntries(shapes);
}
