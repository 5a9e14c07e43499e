/**
 * Epochs in steps.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { parameter, words } from '../words.ts';
import { examplesPerStep, type TrainConfiguration } from './configuration.ts';

/**
 * Steps that see each example so many times, on average.
 * @param examples those that a run draws from: a text that is longer than the context is several
 * @throws SubzeroError `invalid_argument` for epochs that are not above 0
 */
export function stepsOfEpochs(
  epochs: number,
  examples: number,
  configuration: Pick<TrainConfiguration, 'batchSize' | 'accumulate'>,
): number {
  if (!(epochs > 0)) {
    throw new SubzeroError('invalid_argument', words`${parameter('epochs')} must be above 0; got ${epochs}`, {
      parameter: 'epochs',
    });
  }
  return Math.max(1, Math.ceil((epochs * examples) / examplesPerStep(configuration)));
}
