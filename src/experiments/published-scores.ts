/**
 * Scores that papers report, for tables that stand beside them.
 *
 * @module
 */

import type { OptimizerName } from '../settings/methods.ts';

export interface PublishedScores {
  model: string;
  /** What config.json of that model says. */
  config: Readonly<Record<string, unknown>>;
  source: string;
  /** In percent, one seed each, all parameters trained: accuracy, or F1 of generated answers. */
  scores: Readonly<Record<string, Partial<Record<OptimizerName | 'sgd', number>>>>;
}

const row = (sgd: number, mezo: number, sparse: number, subzero: number) => ({
  ...{ sgd, mezo, 'sparse-mezo': sparse, subzero },
});

const publishedScores: readonly PublishedScores[] = [
  {
    model: 'OPT-13B',
    config: { model_type: 'opt', hidden_size: 5120, num_hidden_layers: 40 },
    source: 'SubZero, arXiv 2410.08989',
    scores: {
      sst2: row(94.9, 92.1, 92.3, 92.1),
      rte: row(82.3, 71.5, 76.9, 74.0),
      cb: row(85.7, 71.4, 75.0, 73.2),
      boolq: row(78.4, 74.4, 76.5, 75.3),
      wsc: row(65.3, 61.5, 61.1, 65.4),
      wic: row(65.8, 60.0, 58.2, 60.8),
      multirc: row(74.2, 60.1, 63.3, 61.0),
      copa: row(90, 87, 87, 88),
      record: row(82.4, 82.0, 71.2, 82.3),
      squad: row(88.0, 84.2, 77.9, 84.5),
      drop: row(35.5, 31.2, 31.9, 32.0),
    },
  },
];

/** What is published of the model whose config.json this is. */
export function publishedOf(config: Readonly<Record<string, unknown>>): PublishedScores | undefined {
  return publishedScores.find((each) => Object.entries(each.config).every(([key, value]) => config[key] === value));
}

/** Sparse MeZO's claim (arXiv 2402.15751, LLaMA-7B): so many points above MeZO on RTE, and so many times faster. */
export const sparseClaim = { task: 'rte', points: 9, speedup: 3.5 } as const;
