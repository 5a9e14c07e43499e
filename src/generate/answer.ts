/**
 * Answers as the MeZO protocol has them generated (Malladi et al. 2023): greedily, up to the end of the line.
 *
 * @module
 */

import { answerTokens } from '../data/answer-score.ts';
import { SubzeroError } from '../errors.ts';
import type { Generator } from './generator.ts';

/** How answers are generated. */
export interface AnswerOptions {
  /** 50 by default. */
  maxTokens?: number;
  /** Texts that an answer ends before; the end of the line by default. */
  stop?: readonly string[];
}

/**
 * Generates the answer to a prompt; several may be asked for at once.
 * @param prompt token ids, BOS included where the model wants it
 * @throws SubzeroError `cancelled` when the signal is aborted; as `Generator.generate`
 */
export async function generateAnswer(
  generator: Generator,
  prompt: readonly number[],
  signal?: AbortSignal,
  { maxTokens = answerTokens, stop = ['\n'] }: AnswerOptions = {},
): Promise<string> {
  const request = { maxTokens, temperature: 0, stop: [...stop] };
  for await (const event of generator.generate(request, prompt, signal)) {
    if (event.type === 'done') return event.text.trim();
  }
  throw new SubzeroError('cancelled', 'the answer was cancelled');
}
