/**
 * Settings that were given but play no part in a run.
 *
 * @module
 */

import { resolveConfiguration, type TrainConfiguration } from '../settings/configuration.ts';
import { camelCase } from './option.ts';

/** By option: when it plays a part, and what would let it. */
const conditions: readonly {
  options: readonly string[];
  without: string;
  holds: (configuration: TrainConfiguration) => boolean;
}[] = [
  {
    options: ['lora-rank', 'lora-alpha', 'lora-targets'],
    without: '--scheme lora',
    holds: ({ scheme }) => scheme === 'lora',
  },
  {
    options: ['virtual-tokens'],
    without: '--scheme prompt or prefix',
    holds: ({ scheme }) => scheme === 'prompt' || scheme === 'prefix',
  },
  {
    options: ['rank', 'refresh', 'norm-alignment'],
    without: '--optimizer subzero or subzero-plus',
    holds: ({ optimizer }) => optimizer === 'subzero' || optimizer === 'subzero-plus',
  },
  {
    options: ['sparsity'],
    without: '--optimizer sparse-mezo',
    holds: ({ optimizer }) => optimizer === 'sparse-mezo',
  },
  {
    options: ['hessian-smoothing'],
    without: '--optimizer hizoo',
    holds: ({ optimizer }) => optimizer === 'hizoo',
  },
  { options: ['mezo-update'], without: '--optimizer mezo', holds: ({ optimizer }) => optimizer === 'mezo' },
  {
    options: ['adam-beta1'],
    without: '--optimizer subzero-plus, or mezo with --mezo-update momentum or adam',
    holds: ({ optimizer, mezoUpdate }) =>
      optimizer === 'subzero-plus' || (optimizer === 'mezo' && mezoUpdate !== 'sgd'),
  },
  {
    options: ['adam-beta2'],
    without: '--optimizer subzero-plus, or mezo with --mezo-update adam',
    holds: ({ optimizer, mezoUpdate }) =>
      optimizer === 'subzero-plus' || (optimizer === 'mezo' && mezoUpdate === 'adam'),
  },
];

/**
 * Warnings about settings without effect, one for each: who gives a setting expects something of it.
 * @param given the settings that were given, without the defaults
 */
export function idleSettings(given: Partial<TrainConfiguration>): string[] {
  const configuration = resolveConfiguration(given);
  const idle = conditions
    .filter(({ holds }) => !holds(configuration))
    .flatMap(({ options, without }) =>
      options
        .filter((option) => camelCase(option) in given)
        .map((option) => `--${option} has no effect without ${without}`),
    );
  const { warmupSteps, steps } = configuration;
  if (warmupSteps >= steps) {
    idle.push(`the learning rate never gets to its full value: --warmup-steps ${warmupSteps} of --steps ${steps}`);
  }
  return idle;
}
