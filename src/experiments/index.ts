/**
 * All experiments by their names.
 *
 * @module
 */

import { beyondEnglish } from './beyond-english.ts';
import type { Experiment } from './experiment.ts';
import { memory } from './memory.ts';
import { methodsExperiment } from './methods.ts';
import { rankSpectrum } from './rank-spectrum.ts';
import { refresh } from './refresh.ts';
import { reshape } from './reshape.ts';
import { rewardCurves } from './reward-curves.ts';
import { scale } from './scale.ts';
import { secondOrder } from './second-order.ts';
import { table } from './table.ts';
import { variance } from './variance.ts';

export const experiments: Readonly<Record<string, Experiment>> = {
  variance,
  memory,
  'rank-spectrum': rankSpectrum,
  refresh,
  reshape,
  'second-order': secondOrder,
  methods: methodsExperiment,
  scale,
  table,
  'beyond-english': beyondEnglish,
  ...rewardCurves,
};
