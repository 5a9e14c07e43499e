/**
 * What outcomes come to: every metric by its name.
 *
 * @module
 */

import { bestTokenF1, isExactMatch } from '../data/answer-score.ts';
import type { RowsKind } from '../data/rows-kind.ts';
import { type Similarity, similarities } from '../graders/text-similarity.ts';
import type { Statistic } from './bootstrap.ts';
import type { Outcome } from './outcome.ts';

/** A metric of certain outcomes. */
export interface Measure {
  of: Statistic;
  /** What each example has, for metrics that are means of such. */
  scores?: readonly number[];
}

export interface Metric {
  title: string;
  better: 'higher' | 'lower';
  /** What the data must have, in words. */
  needs: string;
  /** Whether rows of a kind have that. */
  fits(rows: RowsKind): boolean;
  /** The option that names it, where the rows alone do not have it. */
  option?: 'base' | 'grader';
  /** Whether completions must be generated for it. */
  generates: boolean;
  /** @returns `undefined` where the outcomes have not what it needs */
  measure(outcomes: readonly Outcome[]): Measure | undefined;
}

const answers = {
  better: 'higher',
  needs: 'answers to compare with',
  generates: true,
  fits: ({ hasAnswers }: RowsKind) => hasAnswers,
} as const;

const hasOptions = ({ kind }: RowsKind): boolean => kind === 'options' || kind === 'preference';
const arePreferences = ({ kind }: RowsKind): boolean => kind === 'preference';

/** A mean over the examples, all of which must have it. */
function meanOf(scoreOf: (outcome: Outcome) => number | undefined) {
  return (outcomes: readonly Outcome[]): Measure | undefined => {
    const scores: number[] = [];
    for (const outcome of outcomes) {
      const score = scoreOf(outcome);
      if (score === undefined) return undefined;
      scores.push(score);
    }
    return { of: ratio(scores), scores };
  };
}

/** The best score over all references. */
function bestOf(similarity: Similarity): Metric['measure'] {
  return meanOf(({ answer, references }) =>
    answer === undefined || references === undefined
      ? undefined
      : Math.max(...references.map((reference) => similarity(answer, reference))),
  );
}

/** Σ values / Σ weights of some examples; their mean without weights. */
function ratio(values: readonly number[], weights?: readonly number[]): Statistic {
  return (examples) => {
    let [sum, weight] = [0, 0];
    for (let place = 0; place < examples.length; place++) {
      const index = examples[place]!;
      sum += values[index]!;
      weight += weights ? weights[index]! : 1;
    }
    return sum / weight;
  };
}

/** Whether the chosen option is right. */
export function isRight({ chosen, correct }: Outcome): boolean | undefined {
  return chosen === undefined || correct === undefined ? undefined : correct.includes(chosen);
}

/** By their names on the command line. */
export const metrics: Readonly<Record<string, Metric>> = {
  loss: {
    ...{ title: 'loss (nats)', better: 'lower', needs: 'answers to take it of', generates: false },
    fits: ({ kind }) => kind !== 'prompt',
    measure: (outcomes) => {
      const weights = outcomes.map(({ weight }) => weight);
      const losses = outcomes.map(({ loss }) => loss);
      return weights.every((weight) => weight > 0) ? { of: ratio(losses, weights) } : undefined;
    },
  },
  accuracy: {
    ...{ title: 'accuracy', better: 'higher', needs: 'options', generates: false },
    fits: hasOptions,
    measure: meanOf((outcome) => {
      const right = isRight(outcome);
      return right === undefined ? undefined : Number(right);
    }),
  },
  'macro-f1': {
    ...{ title: 'macro-F1', better: 'higher', needs: 'the same options in every row', generates: false },
    fits: hasOptions,
    measure: macroF1,
  },
  'exact-match': {
    ...{ title: 'exact match', ...answers },
    measure: meanOf(({ answer, references }) =>
      answer === undefined || references === undefined ? undefined : Number(isExactMatch(answer, references)),
    ),
  },
  f1: { title: 'token F1', ...answers, measure: bestOf((answer, reference) => bestTokenF1(answer, [reference])) },
  'rouge-1': { title: 'ROUGE-1', ...answers, measure: bestOf(similarities.rouge_1) },
  'rouge-2': { title: 'ROUGE-2', ...answers, measure: bestOf(similarities.rouge_2) },
  'rouge-l': { title: 'ROUGE-L', ...answers, measure: bestOf(similarities.rouge_l) },
  bleu: { title: 'BLEU (mean of sentences)', ...answers, measure: bestOf(similarities.bleu) },
  gleu: { title: 'GLEU', ...answers, measure: bestOf(similarities.gleu) },
  'fuzzy-match': { title: 'fuzzy match', ...answers, measure: bestOf(similarities.fuzzy_match) },
  'preference-accuracy': {
    ...{ title: 'preference accuracy', better: 'higher', needs: 'preferences', generates: false },
    fits: arePreferences,
    measure: meanOf(({ margin }) => (margin === undefined ? undefined : Number(margin > 0))),
  },
  margin: {
    ...{ title: 'margin (nats)', better: 'higher', needs: 'preferences', generates: false },
    fits: arePreferences,
    measure: meanOf(({ margin }) => margin),
  },
  'dpo-loss': {
    ...{ title: 'DPO loss', better: 'lower', needs: 'preferences and a base', option: 'base', generates: false },
    fits: arePreferences,
    measure: meanOf(({ dpoLoss }) => dpoLoss),
  },
  reward: {
    ...{ title: 'reward', better: 'higher', needs: 'a grader', option: 'grader', generates: true },
    fits: ({ hasPrompts }) => hasPrompts,
    measure: meanOf(({ reward }) => reward),
  },
};

export const metricNames = Object.keys(metrics);

/** The metrics of outcomes for which none were named. */
export function usualMetrics(outcomes: readonly Outcome[]): string[] {
  const has = (name: keyof Outcome): boolean => outcomes.every((outcome) => outcome[name] !== undefined);
  const generated = has('references') && !has('chosen');
  const reward = has('reward') ? ['reward'] : [];
  if (has('margin')) return [...reward, 'preference-accuracy', 'margin', ...(has('dpoLoss') ? ['dpo-loss'] : [])];
  return [
    ...reward,
    ...(has('chosen') ? ['accuracy'] : []),
    ...(has('chosen') && macroF1(outcomes) ? ['macro-f1'] : []),
    ...(generated ? ['f1', 'exact-match'] : []),
    ...(outcomes.every(({ weight }) => weight > 0) ? ['loss'] : []),
  ];
}

/**
 * The mean, over the labels that occur as an answer or as the right one, of the F1 of telling a label from all others
 * (scikit-learn's `average="macro"`). Of several right options an example has the chosen one if it is among them.
 */
function macroF1(outcomes: readonly Outcome[]): Measure | undefined {
  const labels = outcomes[0]?.options;
  const isAlike = ({ options }: Outcome): boolean =>
    options?.length === labels?.length && options!.every((option, index) => option.trim() === labels![index]!.trim());
  if (!labels || !outcomes.every(isAlike)) return undefined;
  const chosen = outcomes.map((outcome) => outcome.chosen!);
  const right = outcomes.map((outcome) => (isRight(outcome) ? outcome.chosen! : outcome.correct![0]!));
  return {
    of: (examples) => {
      // 2 · true positives, and the sum of how often a label was chosen and how often it was right.
      const both = new Float64Array(labels.length);
      const either = new Float64Array(labels.length);
      for (let place = 0; place < examples.length; place++) {
        const index = examples[place]!;
        const [given, wanted] = [chosen[index]!, right[index]!];
        either[given]!++;
        either[wanted]!++;
        if (given === wanted) both[given]! += 2;
      }
      let [sum, count] = [0, 0];
      for (let label = 0; label < labels.length; label++) {
        if (either[label] === 0) continue;
        sum += both[label]! / either[label]!;
        count++;
      }
      return sum / count;
    },
  };
}
