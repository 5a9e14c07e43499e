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
  /** log p of each scored token, per continuation. */
  tokens: readonly (readonly number[])[];
}

/** What an objective measures beside the loss: a sum, and of how many it is. */
export interface MeasureSum {
  sum: number;
  count: number;
}

/** What some examples add to a loss. The sums of parts add up to those of the whole: {@link add}. */
export interface LossSums {
  /**
   * Σ of the numbers of examples that count one each: cross-entropy over the options' mean token log-probabilities, in
   * nats, or what an objective makes of an example.
   */
  optionLoss: number;
  /** Examples that count so. */
  optionExamples: number;
  /** Those of them whose best option is right, or whose chosen answer has the higher reward. */
  correct: number;
  /** Σ −log p over the scored tokens of completions, in nats. */
  completionLoss: number;
  completionTokens: number;
  completionExamples: number;
  /** Scored tokens of all continuations. */
  tokens: number;
  /** What is measured beside the loss, by name; absent where nothing is. */
  measures?: Readonly<Record<string, MeasureSum>>;
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
  /** Means of what is measured beside the loss, by name; absent where nothing is. */
  measures?: Record<string, number>;
}

/** What an example adds, by what a probe says of it. */
export type ExampleLoss = (example: TokenizedExample, score: ExampleScore) => LossSums;

/** The sums of one example by the loss of its data. Of a preference they are those of options. */
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
    ...(a.measures || b.measures ? { measures: addMeasures(a.measures, b.measures) } : {}),
  };
}

function addMeasures(
  a: Readonly<Record<string, MeasureSum>> = {},
  b: Readonly<Record<string, MeasureSum>> = {},
): Record<string, MeasureSum> {
  const sums = { ...a };
  for (const [name, { sum, count }] of Object.entries(b)) {
    const before = sums[name];
    sums[name] = before ? { sum: before.sum + sum, count: before.count + count } : { sum, count };
  }
  return sums;
}

/**
 * The sums of examples, added one after the other.
 * @param before the sums of the examples before them: a data set that is scored part by part has the bits of one that
 * is not
 * @param loss of each example; that of its data by default
 */
export function sumLosses(
  examples: readonly TokenizedExample[],
  scores: readonly ExampleScore[],
  before: LossSums = noLoss,
  loss: ExampleLoss = lossOf,
): LossSums {
  return examples.reduce((sums, example, index) => add(sums, loss(example, scores[index]!)), before);
}

/**
 * The loss that sums stand for. Options: the mean over the examples. Completions: the mean over all scored tokens.
 * Where there are both, each mean counts by its number of examples, and the accuracy is that of the options.
 * @returns a loss in nats; 0 of no examples
 */
export function meanOf(sums: LossSums): MeanLoss {
  const { optionLoss, optionExamples, correct, completionLoss, completionTokens, completionExamples, tokens } = sums;
  const completionMean = completionExamples === 0 ? 0 : completionLoss / completionTokens;
  const measures = sums.measures ? { measures: meansOf(sums.measures) } : {};
  if (optionExamples === 0) return { loss: completionMean, accuracy: null, tokens, ...measures };
  const loss = (optionLoss + completionMean * completionExamples) / (optionExamples + completionExamples);
  return { loss, accuracy: correct / optionExamples, tokens, ...measures };
}

function meansOf(measures: Readonly<Record<string, MeasureSum>>): Record<string, number> {
  return Object.fromEntries(Object.entries(measures).map(([name, { sum, count }]) => [name, sum / count]));
}

/** The loss of a batch under one probe. */
export function batchLoss(examples: readonly TokenizedExample[], scores: readonly ExampleScore[]): MeanLoss {
  return meanOf(sumLosses(examples, scores));
}
