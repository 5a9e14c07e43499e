/**
 * Virtual tokens: rows in front of a text whose embedding (prompt tuning), or keys and values (prefix tuning), are
 * trained. They go through the model as tokens do, with ids just behind the vocabulary, so packing, attention ranges,
 * sliding windows and the cache need not know of them.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import type { Probes } from '../ops/probes.ts';
import type { Model } from './model.ts';

/** The ids that every sequence begins with; none without such a scheme. */
export function leadingTokens(model: Pick<Model, 'decoder'>, { adapter }: Pick<Probes, 'adapter'>): number[] {
  const { vocabularySize } = model.decoder;
  return Array.from({ length: adapter?.virtualTokens ?? 0 }, (_, index) => vocabularySize + index);
}

/** Most tokens of a text: the model's context, but for the positions that virtual tokens take. */
export function contextLengthOf(model: Pick<Model, 'decoder'>, { adapter }: Pick<Probes, 'adapter'>): number {
  return model.decoder.contextLength - (adapter?.virtualTokens ?? 0);
}

/** The examples with tokens in front of their prompts. */
export function withLeading(examples: readonly TokenizedExample[], leading: readonly number[]): TokenizedExample[] {
  if (leading.length === 0) return [...examples];
  // Examples may read their tokens from a file when they are asked for them, so nothing is copied here.
  return examples.map((example) => ({
    ...example,
    ...(example.answerRow === undefined ? {} : { answerRow: leading.length + example.answerRow }),
    get prompt() {
      return [...leading, ...example.prompt];
    },
    get continuations() {
      return example.continuations;
    },
    get generation() {
      return example.generation;
    },
  }));
}
