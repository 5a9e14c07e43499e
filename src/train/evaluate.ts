/**
 * Loss and accuracy over a data set, and what its generated answers are worth.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { SubzeroError } from '../errors.ts';
import { exampleRows } from '../model/batch.ts';
import { addAnswers, answerScore, meanOfAnswers, noAnswers } from '../objectives/answers.ts';
import { type ExampleLoss, meanOf, noLoss, sumLosses } from '../objectives/loss.ts';
import type { Probes } from '../ops/probes.ts';
import type { EvaluationResult } from './events.ts';
import type { Scorer } from './score.ts';

/** Examples scored between two looks at the signal. */
const examplesAtOnce = 64;

/** Rows of a pass where memory is not the limit: enough to fill any adapter, little enough to show progress. */
const rowsAtOnce = 4096;

export interface EvaluateOptions {
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
  /** Rows of a pass; training passes the rows that it has reserved, so that nothing is allocated. */
  maxRows?: number;
  /** What an example adds to the loss; that of its data by default. */
  lossOf?: ExampleLoss;
  /** Generates the answer to a prompt of token ids under the same probe; without it F1 and exact match are `null`. */
  answer?: (prompt: readonly number[]) => Promise<string>;
}

/**
 * Scores every example under one probe.
 *
 * @throws SubzeroError `cancelled` when the signal is aborted
 */
export async function evaluate(
  scorer: Scorer,
  examples: readonly TokenizedExample[],
  probes: Probes,
  options: EvaluateOptions = {},
): Promise<EvaluationResult> {
  const started = performance.now();
  const largest = examples.reduce((most, example) => Math.max(most, exampleRows(example)), 0);
  const maxRows = Math.max(largest, options.maxRows ?? rowsAtOnce);
  let losses = noLoss;
  let answers = noAnswers;
  for (let start = 0; start < examples.length; start += examplesAtOnce) {
    if (options.signal?.aborted) throw new SubzeroError('cancelled', 'the evaluation was cancelled');
    const part = examples.slice(start, start + examplesAtOnce);
    const [scores] = await scorer.score(part, probes, maxRows);
    losses = sumLosses(part, scores!, losses, options.lossOf);
    if (options.answer) answers = (await scoreAnswers(part, options.answer)).reduce(addAnswers, answers);
    options.onProgress?.(start + part.length, examples.length);
  }
  const { loss, accuracy, tokens, measures } = meanOf(losses);
  const seconds = (performance.now() - started) / 1000;
  return {
    ...{ examples: examples.length, loss, accuracy, ...meanOfAnswers(answers), tokens, seconds },
    ...(measures ? { measures } : {}),
  };
}

/** Whether there is something to generate for an evaluation of these examples. */
export function wantsAnswers(examples: readonly TokenizedExample[]): boolean {
  return examples.some(({ generation }) => generation !== undefined);
}

function scoreAnswers(examples: readonly TokenizedExample[], answer: (prompt: readonly number[]) => Promise<string>) {
  const wanted = examples.flatMap(({ generation }) => generation ?? []);
  return Promise.all(wanted.map(async ({ prompt, references }) => answerScore(await answer(prompt), references)));
}
