/**
 * Answers for the evaluations of a run.
 *
 * @module
 */

import { generateAnswer } from '../generate/answer.ts';
import { Generator } from '../generate/generator.ts';
import type { Model } from '../model/model.ts';
import type { Probes } from '../ops/probes.ts';
import { loadTokenizer } from '../tokenizer/index.ts';

/**
 * Has answers generated with a model as it stands. The keys and values of the texts take memory of their own until the
 * end, which no plan counts.
 * @throws SubzeroError `cancelled` when the signal is aborted
 */
export async function withAnswers<T>(
  model: Model,
  probes: () => Probes,
  signal: AbortSignal | undefined,
  use: (answer: (prompt: readonly number[]) => Promise<string>) => Promise<T>,
): Promise<T> {
  const generator = new Generator(model, await loadTokenizer(model.directory), probes);
  try {
    return await use((prompt) => generateAnswer(generator, prompt, signal));
  } finally {
    await generator.destroy();
  }
}
