/**
 * Loss and accuracy over a data set, and what its generated answers are worth.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { SubzeroError } from '../errors.ts';
import { exampleRows } from '../model/batch.ts';
import { type AnswerSums, addAnswers, answerScore, meanOfAnswers, noAnswers } from '../objectives/answers.ts';
import { type ExampleLoss, type ExampleScore, meanOf, noLoss, sumLosses } from '../objectives/loss.ts';
import type { Probes } from '../ops/probes.ts';
import type { EvaluationResult } from './events.ts';
import type { Scorer } from './score.ts';

/** Examples scored between two looks at the signal. */
const examplesAtOnce = 64;

/** Answers that are being generated when no more examples are scored until some of them are there. */
const answersAtOnce = 128;

/** Rows of a pass where memory is not the limit: enough to fill any adapter, little enough to show progress. */
const rowsAtOnce = 4096;

export interface EvaluateOptions {
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
  /** Rows of a pass; training passes the rows that it has reserved, so that nothing is allocated. */
  maxRows?: number;
  /** What an example adds to the loss; that of its data by default. */
  lossOf?: ExampleLoss;
  /**
   * Generates the answer to the prompt of an example, as token ids, under the same probe; without it F1 and exact match
   * are `null`. May be asked for as many answers at once as {@link answersAtOnce}.
   */
  answer?: (prompt: readonly number[], example: number) => Promise<string>;
  /** Told the score of every example that has an answer to score. */
  onScore?: (example: number, score: ExampleScore) => void;
}

/**
 * Scores every example under one probe. Of prompts without an answer there is nothing to score; they have answers
 * generated, and a loss of NaN where there is nothing else.
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
  const answering = new Answering(options.answer);
  let told = 0;
  const tell = (done: number): void => {
    if (done <= told) return;
    told = done;
    options.onProgress?.(done, examples.length);
  };
  try {
    for (let start = 0; start < examples.length; start += examplesAtOnce) {
      if (options.signal?.aborted) throw new SubzeroError('cancelled', 'the evaluation was cancelled');
      const part = examples.slice(start, start + examplesAtOnce);
      // A data set holds prompts alone, or none.
      if (part[0]!.kind !== 'prompt') {
        const [scores] = await scorer.score(part, probes, maxRows);
        losses = sumLosses(part, scores!, losses, options.lossOf);
        if (options.onScore) for (const [index, score] of scores!.entries()) options.onScore(start + index, score);
      }
      for (const [index, example] of part.entries()) answering.ask(example, start + index);
      const scored = start + part.length;
      await answering.until(answersAtOnce - examplesAtOnce, (waiting) => tell(scored - waiting));
    }
    await answering.until(0, (waiting) => tell(examples.length - waiting));
  } finally {
    await answering.settled();
  }
  const answers = answering.sums();
  const { loss, accuracy, tokens, measures } =
    losses === noLoss ? { ...meanOf(losses), loss: Number.NaN } : meanOf(losses);
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

/** The answers of an evaluation, which are generated while further examples are scored. */
class Answering {
  readonly #answer: EvaluateOptions['answer'];
  readonly #sums: AnswerSums[] = [];
  readonly #waiting = new Set<Promise<void>>();
  #failure: { error: unknown } | undefined;

  constructor(answer: EvaluateOptions['answer']) {
    this.#answer = answer;
  }

  /** Asks for the answer of an example, if it has one to generate. */
  ask({ generation }: TokenizedExample, index: number): void {
    if (!this.#answer || !generation) return;
    const { prompt, references } = generation;
    const place = this.#sums.push(noAnswers) - 1;
    const answer = this.#answer(prompt, index)
      .then((text) => {
        if (references.length > 0) this.#sums[place] = answerScore(text, references);
      })
      .catch((error) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#waiting.delete(answer));
    this.#waiting.add(answer);
  }

  /** Waits until at most `most` answers are missing. @throws what an answer failed with */
  async until(most: number, onProgress: (waiting: number) => void): Promise<void> {
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      onProgress(this.#waiting.size);
      if (this.#waiting.size <= most) return;
      await Promise.race(this.#waiting);
    }
  }

  /** When nothing is being generated any more, whatever became of it. */
  async settled(): Promise<void> {
    await Promise.all(this.#waiting);
  }

  /** In the order of the examples, so that sums have the same bits whichever answer came first. */
  sums(): AnswerSums {
    return this.#sums.reduce(addAnswers, noAnswers);
  }
}
