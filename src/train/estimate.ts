/**
 * How much GPU memory inference and runs would take, from a model's description and shapes alone.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { SubzeroError } from '../errors.ts';
import { Gpu } from '../gpu/gpu.ts';
import type { SizingLimits } from '../gpu/sizing-device.ts';
import { KeyValueCache } from '../model/cache.ts';
import type { MatchedCheckpoint } from '../model/checkpoint-tensors.ts';
import type { StorageChoice } from '../model/load.ts';
import type { Model } from '../model/model.ts';
import { sizingModel } from '../model/sizing-model.ts';
import { leadingTokens, withLeading } from '../model/virtual-tokens.ts';
import { resolveConfiguration, type TrainConfiguration } from '../settings/configuration.ts';
import type { OptimizerName } from '../settings/methods.ts';
import type { SchemeName } from '../settings/schemes.ts';
import { createOptimizer } from '../zo/create-optimizer.ts';
import { type MemoryPlan, planMemory } from './memory-plan.ts';
import { destroy, ResourceStack } from './resource-stack.ts';
import { Scorer } from './score.ts';

/** What a model takes without training. */
export interface InferenceEstimate {
  weightBytes: number;
  /** Bytes of the keys and values of one token. */
  cacheBytesPerToken: number;
  /** The largest buffer of weights. */
  largestBufferBytes: number;
}

/** What a run takes, or why it does not fit. */
export type TrainingEstimate = { optimizer: OptimizerName; scheme: SchemeName } & (
  | { plan: MemoryPlan }
  | { problem: string }
);

export class MemoryEstimator {
  readonly #gpu: Gpu;
  readonly #model: Model;

  /** @param limits those of a device; usual ones by default */
  constructor({ decoder, parameters }: MatchedCheckpoint, storage: StorageChoice, limits: SizingLimits = {}) {
    this.#gpu = Gpu.forSizing(limits);
    this.#model = sizingModel(this.#gpu, decoder, parameters, storage);
  }

  inference(): InferenceEstimate {
    const { weights, weightBytes } = this.#model;
    const cacheOf = (rows: number): number => {
      const before = this.#gpu.memory.report().liveBytes;
      const cache = new KeyValueCache(this.#gpu, this.#model, rows);
      const bytes = this.#gpu.memory.report().liveBytes - before;
      cache.destroy();
      return bytes;
    };
    const parts = [...weights.values()].flatMap((weight) => weight.parts);
    return {
      weightBytes,
      cacheBytesPerToken: cacheOf(2) - cacheOf(1),
      largestBufferBytes: Math.max(...parts.map(({ buffer }) => buffer.size)),
    };
  }

  /**
   * The plan of a run, as it would be made on a device.
   * @param tokens of an example, half of which are learnt
   */
  async training(
    settings: Partial<TrainConfiguration> & { optimizer: OptimizerName; scheme: SchemeName },
    tokens: number,
  ): Promise<TrainingEstimate> {
    const { optimizer: name, scheme } = settings;
    const resources = new ResourceStack();
    try {
      const configuration = resolveConfiguration(settings);
      const optimizer = resources.own(await createOptimizer(this.#model, configuration), destroy);
      optimizer.beginStep(0);
      const scorer = resources.own(new Scorer(this.#model, configuration.maxRows), destroy);
      const examples = withLeading([exampleOf(tokens)], leadingTokens(this.#model, optimizer.current));
      const run = { model: this.#model, optimizer, scorer, configuration, examples, validation: [], step: 0 };
      return { optimizer: name, scheme, plan: planMemory(run) };
    } catch (error) {
      if (!(error instanceof SubzeroError)) throw error;
      return { optimizer: name, scheme, problem: error.message };
    } finally {
      await resources.close();
    }
  }

  close(): void {
    this.#model.destroy();
    this.#gpu.close();
  }
}

/** An example of so many tokens, half of which are learnt. */
export function exampleOf(tokens: number): TokenizedExample {
  const learnt = Math.max(1, Math.floor(tokens / 2));
  const ids = (length: number): number[] => Array<number>(length).fill(0);
  return {
    ...{ kind: 'completion', label: 0, prompt: ids(Math.max(1, tokens - learnt)) },
    continuations: [{ ids: ids(learnt), scored: learnt }],
  };
}
