/**
 * What trains of a model, or beside it: one row for each scheme. docs/method.md, "Schemes", describes them,
 * src/tuning/ makes their tensors.
 *
 * @module
 */

import type { TrainConfiguration } from './configuration.ts';
import type { Family } from './methods.ts';

export const schemeNames = ['full', 'lora', 'prompt', 'prefix'] as const;
export type SchemeName = (typeof schemeNames)[number];

export interface Scheme {
  /** What trains, for people. */
  title: string;
  /**
   * What it adds to the model, whose own parameters stay as they are then: pairs of thin matrices beside linear
   * layers, or virtual tokens in front of every text. Nothing if left out: the model's parameters train.
   */
  adds?: 'pairs' | 'tokens';
  /**
   * Default settings where they differ from those of full tuning: of all optimisers, then of those of a family.
   *
   * An adapter has far fewer parameters than a model, so the noise of an estimate is smaller and learning rates are
   * higher. Published values (batch 16, 20 000 steps): docs/method.md, "Choosing the learning rate".
   */
  defaults: Partial<Record<'all' | Family, Partial<TrainConfiguration>>>;
}

export const schemes: Readonly<Record<SchemeName, Scheme>> = {
  full: { title: "the model's parameters", defaults: {} },
  lora: {
    title: 'LoRA beside them',
    adds: 'pairs',
    defaults: {
      all: { rank: 8 },
      factored: { learningRate: 2e-5 },
      'factored-adam': { learningRate: 1e-2 },
      dense: { learningRate: 5e-5, epsilon: 1e-2 },
    },
  },
  // With norm alignment an entry of SubZero's perturbation is as large as MeZO's, so its settings hold for both.
  prompt: {
    title: 'virtual tokens: embeddings',
    adds: 'tokens',
    defaults: {
      all: { rank: 8, learningRate: 1e-3, epsilon: 1e-2 },
      'factored-adam': { learningRate: 1e-2 },
    },
  },
  prefix: {
    title: 'virtual tokens: keys, values',
    adds: 'tokens',
    defaults: {
      all: { rank: 8, learningRate: 1e-3, epsilon: 1e-1, virtualTokens: 5 },
      'factored-adam': { learningRate: 1e-2 },
    },
  },
};

/** The schemes that something is true of. */
export function schemesThat(holds: (scheme: Scheme) => boolean): SchemeName[] {
  return schemeNames.filter((name) => holds(schemes[name]));
}
