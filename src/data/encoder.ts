/**
 * What tokenisation of examples needs of a tokenizer, and what both of its ways check.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { checkTokenIds } from '../tokenizer/token-ids.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { Example, TokenizedExample } from './example.ts';

/** What tokenisation needs of a tokenizer. */
export type Encoder = Pick<Tokenizer, 'encode' | 'addsBosToken' | 'bosTokenId'> &
  Partial<Pick<Tokenizer, 'tokenString' | 'specialTokens' | 'isSpecialToken'>>;

/** Checks prompt and answers, labels included. */
export function checkExampleIds(
  tokenizer: Encoder,
  { prompt, continuations }: TokenizedExample,
  vocabularySize: number | undefined,
  source: string | undefined,
): void {
  if (vocabularySize === undefined) return;
  const tokenString = (id: number): string => tokenizer.tokenString?.(id) ?? '';
  for (const ids of [prompt, ...continuations.map((each) => each.ids)]) {
    checkTokenIds(ids, { vocabularySize, tokenString, source });
  }
}

/** An error about an example that names its place. */
export function failure(example: Pick<Example, 'source'>, what: string): SubzeroError {
  return new SubzeroError('invalid_data', example.source === undefined ? what : `${example.source}: ${what}`);
}
