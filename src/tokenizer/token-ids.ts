/**
 * Token ids that a model has no embedding of: a tokenizer with tokens added behind the last row of its model.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';

/** Whose vocabulary it is, and how to speak of an id. */
export interface KnownTokens {
  /** Rows of the embedding. */
  vocabularySize: number;
  /** The tokenizer's entry of a token, for the error. */
  tokenString?: (id: number) => string;
  /** Where the ids came from: `file:line`. */
  source?: string | undefined;
  /** The field of a request that they came in. */
  parameter?: string;
}

/**
 * Checks that a model has every token of a sequence.
 *
 * @throws SubzeroError `invalid_data` for ids of a row of data, `invalid_argument` for those of a request; the message
 * names token, place and vocabulary
 */
export function checkTokenIds(ids: readonly number[], known: KnownTokens): void {
  for (const id of ids) {
    if (!(Number.isInteger(id) && id >= 0 && id < known.vocabularySize)) throw unknownToken(id, known);
  }
}

/** The error about a token id that the model has no row of. */
export function unknownToken(
  id: number,
  { vocabularySize, tokenString, source, parameter }: KnownTokens,
): SubzeroError {
  const text = Number.isInteger(id) && id >= 0 ? tokenString?.(id) : undefined;
  const token = text ? `token ${JSON.stringify(text)} (id ${id})` : `token ${id}`;
  const place = parameter ?? source;
  return new SubzeroError(
    parameter === undefined ? 'invalid_data' : 'invalid_argument',
    `${source === undefined ? '' : `${source}: `}${token} is not in the vocabulary of ${vocabularySize} (ids 0 to ` +
      `${vocabularySize - 1}) ` +
      "that the model's embedding has; take it out of the text, or use the tokenizer that belongs to the model " +
      '(a model gets rows for added tokens by resize_token_embeddings of transformers)',
    place === undefined ? {} : { parameter: place },
  );
}
