/**
 * A model in memory with what belongs to it, and work over its memory.
 *
 * @module
 */

import type { Generator } from '../generate/generator.ts';
import type { Model } from '../model/model.ts';
import type { Probes } from '../ops/probes.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import type { AppliedAdapter } from '../tuning/applied-adapter.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';
import type { StepRun } from './step-run.ts';
import type { ModelInfo } from './types.ts';

/** What a loaded model is made of. */
export interface ModelParts {
  model: Model;
  tokenizer: Tokenizer;
  /** Present for a run. */
  optimizer?: ZerothOrderOptimizer;
  /** Present for a base model with an adapter. */
  adapter?: AppliedAdapter;
  /** Present for a run that its caller makes step by step. */
  stepRun?: StepRun;
  /** Whether the weights are those of the base model's files, and stay so. */
  asLoaded: boolean;
}

export interface LoadedModel extends ModelParts {
  information: Omit<ModelInfo, 'sharesWeightsWith'>;
  /** Shared by a base model and its adapters, whose texts go through the same passes. */
  generator: Generator;
  probes: () => Probes;
  /** Aborted when the model is unloaded, and what has to end before its memory is freed. */
  unloading: AbortController;
  works: Set<Promise<unknown>>;
}

/** What is known of a model before it is added to the loaded ones. */
export type KnownModel = Pick<ModelInfo, 'id' | 'path' | 'kind' | 'step' | 'lora'>;

/** Frees what the parts hold of the GPU's memory, or this user's share of it. */
export function destroyParts({ model, optimizer, adapter }: Pick<ModelParts, 'model' | 'optimizer' | 'adapter'>): void {
  optimizer?.destroy();
  adapter?.destroy();
  model.destroy();
}

/** Works over a model's memory: unloading ends the work and frees the memory after it. */
export async function workOver<T>(
  { unloading, works }: LoadedModel,
  signal: AbortSignal | undefined,
  begin: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const work = begin(signal ? AbortSignal.any([signal, unloading.signal]) : unloading.signal);
  works.add(work);
  try {
    return await work;
  } finally {
    works.delete(work);
  }
}
