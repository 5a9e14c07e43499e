/**
 * Templates of the MeZO protocol for masked language models, which are those of LM-BFF (arXiv 2012.15723).
 *
 * @module
 */

import type { Example } from '../example.ts';
import { maskMark } from '../masked.ts';

/** A sentence and a word that judges it. */
export function judged(sentence: string): string {
  return `${sentence.trim()} It was${maskMark}.`;
}

/** Two sentences and a word that says how they are related. LM-BFF cuts the last character off, a full stop or not. */
export function related(premise: string, hypothesis: string): string {
  const [first = '', ...rest] = [...hypothesis.trim()];
  return `${[...premise.trim()].slice(0, -1).join('')}?${maskMark}, ${first.toLowerCase()}${rest.join('')}`;
}

/** What the classes of natural language inference are called in files, and which of {@link inferenceWords} they are. */
export const inferenceLabels = { entailment: 0, neutral: 1, contradiction: 2, 0: 0, 1: 1, 2: 2 } as const;

export const inferenceWords: NonNullable<Example['options']> = ['Yes', 'Maybe', 'No'];
