/**
 * The start that prompts share: read once for all texts that begin with it, under one probe and with the same adapters.
 * Its keys and values have rows of their own in the cache, which these texts see in front of their own rows.
 *
 * @module
 */

import type { PassText } from './pass-rows.ts';
import type { TextModel } from './row-adapters.ts';

/** A start, which is read as a text is. It has at least one token behind those that are read, so it predicts none. */
export interface SharedStart extends PassText {
  /** Number of tokens that are shared, virtual ones included. */
  length: number;
  /** Running texts that begin with it. */
  users: number;
}

/** What decides whether texts share a start: their tokens, of which none is generated yet, and what reads them. */
export type Startable = Pick<PassText, 'tokens' | 'model'>;

/**
 * Fewest rows that a new start saves. It has a price, too: tiles of keys that a few tokens do not fill, and in models
 * that keep states one more pass before its texts go on.
 */
export const leastSaved = 16;

/** Waiting texts that are compared with the one that begins next; bounds what a long queue costs. */
export const comparedTexts = 256;

/**
 * The start of a text that saves the most rows, for it and for others that wait.
 *
 * @param others texts that wait behind it
 * @param starts those that running texts use
 * @returns one of `starts`, the length of a new one, or 0 where nothing is shared
 */
export function chooseStart(
  next: Startable,
  others: readonly Startable[],
  starts: Iterable<SharedStart>,
): SharedStart | number {
  let best: SharedStart | number = 0;
  let saved = 0;
  for (const start of starts) {
    if (!beginsWith(next, start)) continue;
    const rows = start.length * (1 + others.filter((other) => beginsWith(other, start)).length);
    if (rows <= saved) continue;
    best = start;
    saved = rows;
  }
  const common = others.map((other) => commonLength(next, other)).sort((one, other) => other - one);
  for (const [index, length] of common.entries()) {
    // A new start is read for the first of its texts, and saves the rows of the others.
    const rows = length * (index + 1);
    if (rows <= saved || rows < leastSaved) continue;
    best = length;
    saved = rows;
  }
  return best;
}

/** The number of tokens that two texts have in common, as far as each has one more, which predicts its next token. */
function commonLength(one: Startable, other: Startable): number {
  if (!sameModel(one.model, other.model)) return 0;
  const most = Math.min(one.tokens.length, other.tokens.length) - 1;
  let length = 0;
  while (length < most && one.tokens[length] === other.tokens[length]) length++;
  return length;
}

function beginsWith(text: Startable, start: SharedStart): boolean {
  return commonLength(text, start) >= start.length;
}

function sameModel(one: TextModel, other: TextModel): boolean {
  return (
    (one.probe ?? 0) === (other.probe ?? 0) &&
    one.adapters.length === other.adapters.length &&
    one.adapters.every(({ adapter, weight }, index) => {
      const same = other.adapters[index]!;
      return adapter === same.adapter && weight === same.weight;
    })
  );
}
