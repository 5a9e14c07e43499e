/**
 * Objectives for preferences: of two answers to a prompt, the chosen one shall be worth more than the rejected one.
 *
 * @module
 */

import type { TrainConfiguration } from '../settings/configuration.ts';
import { type ExampleScore, lossOf, noLoss } from './loss.ts';
import type { Objective } from './objective.ts';
import { softplus } from './softplus.ts';

type PreferenceSettings = Pick<TrainConfiguration, 'dpoBeta' | 'dpoLabelSmoothing'>;

/** The loss of a preference, and by how much the reward of the chosen answer is above that of the rejected one. */
type Formula = (score: ExampleScore, base: ExampleScore | undefined) => { loss: number; margin: number };

/** −log σ(h), with smoothing s by the share s of preferences that are the wrong way round; h is β times the margin. */
export const dpo = ({ dpoBeta: beta, dpoLabelSmoothing: smoothing }: PreferenceSettings): Objective =>
  byFormula((score, base) => {
    const margin = beta * difference(({ logprobs }) => logprobs, score, base);
    return { margin, loss: (1 - smoothing) * softplus(-margin) + (smoothing > 0 ? smoothing * softplus(margin) : 0) };
  });

/** (h − 1/2β)², with the mean over an answer's tokens, as TRL has it. */
export const ipo = ({ dpoBeta: beta }: PreferenceSettings): Objective =>
  byFormula((score, base) => {
    const gap = difference(means, score, base);
    return { margin: beta * gap, loss: (gap - 1 / (2 * beta)) ** 2 };
  });

/** −log p of the chosen answer per token, and λ times −log σ of the log of the ratio of both answers' odds. */
export const orpo = ({ dpoBeta: lambda }: PreferenceSettings): Objective =>
  byFormula((score) => {
    const [chosen, rejected] = means(score) as [number, number];
    const logOdds = chosen - rejected - (log1mexp(chosen) - log1mexp(rejected));
    return { margin: lambda * (chosen - rejected), loss: -chosen + lambda * softplus(-logOdds) };
  });

function byFormula(formula: Formula): Objective {
  return (example, score, base) => {
    if (example.kind !== 'preference') return lossOf(example, score);
    const { loss, margin } = formula(score, base);
    return {
      ...noLoss,
      ...{ optionLoss: loss, optionExamples: 1, correct: margin > 0 ? 1 : 0 },
      tokens: score.counts.reduce((sum, count) => sum + count, 0),
      measures: { rewardMargin: { sum: margin, count: 1 } },
    };
  };
}

/** (chosen − its value by the base) − (rejected − its value by the base). */
function difference(
  valuesOf: (score: ExampleScore) => number[],
  score: ExampleScore,
  base: ExampleScore | undefined,
): number {
  if (!base) throw new Error('an objective that compares with the base, without the base');
  const [own, its] = [valuesOf(score), valuesOf(base)];
  return own[0]! - its[0]! - (own[1]! - its[1]!);
}

const means = ({ logprobs, counts }: ExampleScore): number[] =>
  logprobs.map((logprob, answer) => logprob / counts[answer]!);

/** Log-probabilities of f32 can be 0, or above it by rounding; the odds of a certain answer have no logarithm. */
const certain = -1e-9;

/** log(1 − eˣ) for x ≤ 0. */
function log1mexp(logprob: number): number {
  const x = Math.min(logprob, certain);
  return x > -Math.LN2 ? Math.log(-Math.expm1(x)) : Math.log1p(-Math.exp(x));
}
