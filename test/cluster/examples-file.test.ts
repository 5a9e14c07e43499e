import { expect, test } from 'vitest';
import { decodeExamples, encodeExamples } from '../../src/cluster/examples-file.ts';
import type { TokenizedExample } from '../../src/data/example.ts';
import { ExampleStore } from '../../src/data/example-store.ts';
import { fingerprintOf } from '../../src/train/examples.ts';

const examples = Array.from({ length: 3000 }, (_, index): TokenizedExample => {
  const ids = Array.from({ length: 1 + (index % 17) }, (__, at) => index * 7 + at);
  const positions = index % 3 === 0 ? { positions: [0] } : {};
  const mask = index % 5 === 0 ? { answerRow: 0 } : {};
  const continuations = [{ ids, scored: 1, ...positions }];
  return { kind: 'completion', label: index % 2, prompt: [index], continuations, ...mask };
});

/** Cuts pieces anew, so that lines and characters end anywhere. */
async function* cut(pieces: Iterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += length) yield piece.subarray(at, at + length);
  }
}

test.each([1, 13, 1 << 20])('examples arrive as they were, in pieces of %i bytes', async (length) => {
  // Those that are kept in a file are sent as those in memory.
  const store = new ExampleStore(5000);
  const sent = examples.map((example) => store.keep(example));
  const pieces = [...encodeExamples(sent)];
  expect(pieces.length).toBeGreaterThan(1);
  const received = await decodeExamples(cut(pieces, length));
  expect(received).toEqual(examples);
  expect(fingerprintOf(received)).toBe(fingerprintOf(examples));
});

test.each(['{"kind":"completion"', '[\n'])('%j is refused', async (text) => {
  await expect(decodeExamples(cut([new TextEncoder().encode(text)], 100))).rejects.toThrow(/file of examples/);
});
