/**
 * Batches for benchmarks of training steps.
 *
 * @module
 */

import type { TokenizedExample } from '../src/data/example.ts';

/** Sequences of random tokens, each with two options of one token, as in SST-2. */
export function randomBatch(count: number, length: number, vocabulary: number): TokenizedExample[] {
  return Array.from({ length: count }, (_, index) => ({
    kind: 'options',
    prompt: Array.from({ length }, (_, position) => (index * 7919 + position * 104_729 + 11) % vocabulary),
    continuations: [
      { ids: [5], scored: 1 },
      { ids: [7], scored: 1 },
    ],
    label: index % 2,
  }));
}
