/**
 * `seq_id`: an operation that is repeated under the same number gets the first answer and happens once. The same number
 * with another body, or for another operation, is an error.
 *
 * @module
 */

import { createHash } from '../../src/platform/index.ts';
import { invalid } from '../errors.ts';

/** Answers kept; the oldest goes first. */
const keptAnswers = 1024;

interface Kept {
  fingerprint: string;
  answer: Promise<unknown>;
}

export class Sequence {
  readonly #kept = new Map<number, Kept>();

  /**
   * Does the work unless its number was used already. A failure is not kept: a repeat tries again.
   * @throws ApiError 400 `seq_id_reused`
   */
  async once<T>(id: number | undefined, operation: string, body: unknown, work: () => Promise<T>): Promise<T> {
    if (id === undefined) return work();
    const fingerprint = createHash('sha256')
      .update(`${operation} ${JSON.stringify(body)}`)
      .digest('hex');
    const kept = this.#kept.get(id);
    if (kept) {
      if (kept.fingerprint === fingerprint) return kept.answer as Promise<T>;
      throw invalid(
        `The seq_id ${id} was used with another request already; take a new one.`,
        'seq_id',
        'seq_id_reused',
      );
    }
    const answer = work();
    this.#kept.set(id, { fingerprint, answer });
    if (this.#kept.size > keptAnswers) this.#kept.delete(this.#kept.keys().next().value!);
    try {
      return await answer;
    } catch (error) {
      if (this.#kept.get(id)?.answer === answer) this.#kept.delete(id);
      throw error;
    }
  }
}
