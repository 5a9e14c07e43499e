/**
 * What a scheme has of its own among the default settings.
 *
 * An adapter has far fewer parameters than a model, so the noise of an estimate is smaller and learning rates are higher. Published values
 * (batch 16, 20 000 steps): docs/method.md, "Choosing the learning rate".
 *
 * @module
 */

import type { OptimizerName, SchemeName, TrainConfiguration } from './configuration.ts';

type Defaults = Partial<TrainConfiguration>;

const schemes: Readonly<
  Record<SchemeName, { common: Defaults; subzero: Defaults; subzeroPlus: Defaults; dense: Defaults }>
> = {
  full: { common: {}, subzero: {}, subzeroPlus: {}, dense: {} },
  lora: {
    common: { rank: 8 },
    subzero: { learningRate: 2e-5 },
    subzeroPlus: { learningRate: 1e-2 },
    dense: { learningRate: 5e-5, epsilon: 1e-2 },
  },
  // With norm alignment an entry of SubZero's perturbation is as large as MeZO's, so its settings hold for both.
  prompt: {
    common: { rank: 8, learningRate: 1e-3, epsilon: 1e-2 },
    subzero: {},
    subzeroPlus: { learningRate: 1e-2 },
    dense: {},
  },
  prefix: {
    common: { rank: 8, learningRate: 1e-3, epsilon: 1e-1, virtualTokens: 5 },
    subzero: {},
    subzeroPlus: { learningRate: 1e-2 },
    dense: {},
  },
};

/** The defaults of a scheme under an optimiser, where they differ from those of full tuning. An unknown scheme has none. */
export function schemeDefaults(optimizer: OptimizerName, scheme: SchemeName): Defaults {
  if (!Object.hasOwn(schemes, scheme)) return {};
  const { common, subzero, subzeroPlus, dense } = schemes[scheme];
  const own = optimizer === 'subzero' ? subzero : optimizer === 'subzero-plus' ? subzeroPlus : dense;
  return { ...common, ...own };
}
