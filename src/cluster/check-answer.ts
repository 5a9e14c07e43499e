/**
 * What in an answer cannot be true of the part that it is about, whoever sent it.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import type { Part } from '../train/shards.ts';
import type { Answer } from './protocol.ts';

/** @returns what is wrong, or nothing where the numbers may be true */
export function wrongIn({ sums }: Answer, { examples, probes }: Part<TokenizedExample>): string | undefined {
  if (sums.length !== probes.count) return `sums of ${sums.length} probes; the part has ${probes.count}`;
  const scored = examples.flatMap(({ continuations }) => continuations.map((each) => each.scored));
  const tokens = scored.reduce((sum, count) => sum + count, 0);
  const options = examples.filter(({ kind }) => kind !== 'completion').length;
  for (const each of sums) {
    if (each.optionExamples !== options || each.completionExamples !== examples.length - options) {
      return `sums of ${each.optionExamples + each.completionExamples} examples; the part has ${examples.length}`;
    }
    if (each.tokens !== tokens) return `sums of ${each.tokens} scored tokens; the part has ${tokens}`;
    if (each.correct > options) return `${each.correct} right answers of ${options}`;
  }
  return undefined;
}
