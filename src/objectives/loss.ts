/**
 * The loss of docs/method.md, "Loss", as sums that add: of an example, of a pass, of a batch, of a data set.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';

/** What one probe says about one example. */
export interface ExampleScore {
  /** Σ log p over the scored tokens, per continuation. */
  logprobs: number[];
  /** Scored tokens per continuation. */
  counts: number[];
}

/** What some examples add to a loss. The sums of parts add up to those of the whole: {@link add}. */
export interface LossSums {
  /** Σ cross-entropy over the options' mean token log-probabilities, in nats. */
  optionLoss: number;
  /** Examples with options. */
  optionExamples: number;
  /** Those of them whose best option is right. */
  correct: number;
  /** Σ −log p over the scored tokens of completions, in nats. */
  completionLoss: number;
  completionTokens: number;
  completionExamples: number;
  /** Scored tokens of all continuations. */
  tokens: number;
}

/** The sums of no examples. */
export const noLoss: LossSums = {
  ...{ optionLoss: 0, optionExamples: 0, correct: 0 },
  ...{ completionLoss: 0, completionTokens: 0, completionExamples: 0 },
  tokens: 0,
};

/** The loss of some examples. */
export interface MeanLoss {
  loss: number;
  /** Share of the examples with options whose best one is right; null where none has options. */
  accuracy: number | null;
  /** Scored tokens. */
  tokens: number;
}

/** The sums of one example. */
export function lossOf(example: TokenizedExample, { logprobs, counts }: ExampleScore): LossSums {
  const tokens = counts.reduce((sum, count) => sum + count, 0);
  if (example.kind === 'completion') {
    return {
      ...noLoss,
      ...{ completionLoss: -logprobs[0]!, completionTokens: counts[0]!, completionExamples: 1 },
      tokens,
    };
  }
  const means = logprobs.map((logprob, option) => logprob / counts[option]!);
  const highest = Math.max(...means);
  const logSum = highest + Math.log(means.reduce((sum, mean) => sum + Math.exp(mean - highest), 0));
  const right = correctOptions(example).includes(means.indexOf(highest));
  return {
    ...noLoss,
    ...{ optionLoss: logSum - means[example.label]!, optionExamples: 1, correct: right ? 1 : 0 },
    tokens,
  };
}

/** The option that a model chooses: the first of those with the highest mean log-probability of a token. */
export function chosenOption({ logprobs, counts }: ExampleScore): number {
  const means = logprobs.map((logprob, option) => logprob / counts[option]!);
  return means.indexOf(Math.max(...means));
}

/** The options that count as right. */
export function correctOptions({ correct, label }: TokenizedExample): readonly number[] {
  return correct ?? [label];
}

/** The sums of two parts together. */
export function add(a: LossSums, b: LossSums): LossSums {
  return {
    optionLoss: a.optionLoss + b.optionLoss,
    optionExamples: a.optionExamples + b.optionExamples,
    correct: a.correct + b.correct,
    completionLoss: a.completionLoss + b.completionLoss,
    completionTokens: a.completionTokens + b.completionTokens,
    completionExamples: a.completionExamples + b.completionExamples,
    tokens: a.tokens + b.tokens,
  };
}

/**
 * The sums of examples, added one after the other.
 * @param before the sums of the examples before them: a data set that is scored part by part has the bits of one that
 * is not
 */
export function sumLosses(
  examples: readonly TokenizedExample[],
  scores: readonly ExampleScore[],
  before: LossSums = noLoss,
): LossSums {
  return examples.reduce((sums, example, index) => add(sums, lossOf(example, scores[index]!)), before);
}

/**
 * The loss that sums stand for. Options: the mean over the examples. Completions: the mean over all scored tokens.
 * Where there are both, each mean counts by its number of examples, and the accuracy is that of the options.
 * @returns a loss in nats; 0 of no examples
 */
export function meanOf(sums: LossSums): MeanLoss {
  const { optionLoss, optionExamples, correct, completionLoss, completionTokens, completionExamples, tokens } = sums;
  const completionMean = completionExamples === 0 ? 0 : completionLoss / completionTokens;
  if (optionExamples === 0) return { loss: completionMean, accuracy: null, tokens };
  const loss = (optionLoss + completionMean * completionExamples) / (optionExamples + completionExamples);
  return { loss, accuracy: correct / optionExamples, tokens };
}

/** The loss of a batch under one probe. */
export function batchLoss(examples: readonly TokenizedExample[], scores: readonly ExampleScore[]): MeanLoss {
  return meanOf(sumLosses(examples, scores));
}
