/**
 * All experiments by their names.
 *
 * @module
 */

import type { Experiment } from './experiment.ts';
import { methodsExperiment, secondOrder } from './methods.ts';
import { refresh } from './refresh.ts';
import { variance } from './variance.ts';

export const experiments: Readonly<Record<string, Experiment>> = {
  variance,
  refresh,
  'second-order': secondOrder,
  methods: methodsExperiment,
};
