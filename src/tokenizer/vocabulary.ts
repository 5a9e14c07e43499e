/**
 * Tokens and their ids.
 *
 * @module
 */

import { brief, type Section } from './section.ts';

/** Larger ids than this come from a damaged file: the largest published vocabulary has about 260 thousand. */
const maxTokenId = 1 << 22;

/** A model's tokens. */
export class Vocabulary {
  readonly ids: ReadonlyMap<string, number>;
  readonly tokens: ReadonlyMap<number, string>;

  /** @param tokens the same pairs the other way round; made here if left out */
  constructor(ids: ReadonlyMap<string, number>, tokens: ReadonlyMap<number, string> = inverse(ids)) {
    this.ids = ids;
    this.tokens = tokens;
  }
}

/** Reads a section's `vocab`: an object from token to id. */
export function readVocabulary(section: Section): Vocabulary {
  const vocabulary = section.raw('vocab');
  if (typeof vocabulary !== 'object' || vocabulary === null || Array.isArray(vocabulary)) {
    throw section.wrong('vocab', 'an object from token to id', vocabulary);
  }
  const ids = new Map<string, number>();
  const tokens = new Map<number, string>();
  for (const token of Object.keys(vocabulary)) {
    const id = (vocabulary as Record<string, unknown>)[token];
    checkTokenId(section, token, id);
    const other = tokens.get(id);
    if (other !== undefined) {
      throw section.error('invalid_data', `"vocab" gives the id ${id} to both ${brief(other)} and ${brief(token)}`);
    }
    ids.set(token, id);
    tokens.set(id, token);
  }
  return new Vocabulary(ids, tokens);
}

function inverse(ids: ReadonlyMap<string, number>): Map<number, string> {
  const tokens = new Map<number, string>();
  for (const [token, id] of ids) tokens.set(id, token);
  return tokens;
}

/** Checks an id that a file gives to a token. */
export function checkTokenId(section: Section, token: string, id: unknown): asserts id is number {
  if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > maxTokenId) {
    throw section.error('invalid_data', `the id of ${brief(token)} must be from 0 to ${maxTokenId}; got ${brief(id)}`);
  }
}
