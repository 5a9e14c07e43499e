/**
 * Packed batches: sequences one after the other without padding, attention by key ranges, results at label rows only.
 *
 * @module
 */

import type { ExampleKind, TokenizedExample } from '../data/example.ts';
import type { AttentionMask } from './decoder.ts';

/** One row group's worth of input: what all probes of a pass see. */
export interface PackedBatch {
  ids: Uint32Array;
  positions: Uint32Array;
  /**
   * Two per row: tokens of the shortest and the longest sequence that it belongs to; a shared prompt belongs to
   * several.
   */
  lengths: Uint32Array;
  /** Four per row: the two ranges of rows that it attends to. */
  ranges: Uint32Array;
  /** Positions of the rows that each range starts with, for sliding windows: two per row. */
  rangePositions: Uint32Array;
  /** Rows whose hidden state is wanted. */
  labelRows: Uint32Array;
  /** (index into labelRows, token) pairs whose log-probability is wanted. */
  targets: Uint32Array;
}

/** Where the targets of one example lie. */
export interface ExampleTargets {
  /** Per continuation: first target and how many. */
  continuations: { first: number; count: number }[];
  label: number;
  correct?: number[];
  kind: ExampleKind;
}

/** Rows that an example needs: the shared prompt once, and each continuation but for its last token. */
export function exampleRows(example: TokenizedExample): number {
  return example.prompt.length + example.continuations.reduce((sum, { ids }) => sum + ids.length - 1, 0);
}

/** Rows that a batch needs under one probe. */
export function batchRows(examples: readonly TokenizedExample[]): number {
  return examples.reduce((sum, example) => sum + exampleRows(example), 0);
}

/**
 * Packs examples. The options of an example share the rows of its prompt; each option's own rows see the prompt and
 * themselves.
 *
 * A token is predicted from the row before it, so the last token of a continuation needs no row, and options of one
 * token need no row at all. Where the example says at which row the answers stand, they are predicted from that one.
 *
 * @param unread tokens at the end of every continuation that are no part of the text
 * @param mask of a bidirectional model, every row sees the whole prompt, and continuations have one token
 */
export function packExamples(
  examples: readonly TokenizedExample[],
  unread = 0,
  mask: AttentionMask = 'causal',
): { batch: PackedBatch; targets: ExampleTargets[] } {
  const ids: number[] = [];
  const positions: number[] = [];
  const lengths: number[] = [];
  const ranges: number[] = [];
  const rangePositions: number[] = [];
  const labelRows: number[] = [];
  const labelIndex = new Map<number, number>();
  const targets: number[] = [];
  const exampleTargets: ExampleTargets[] = [];

  for (const example of examples) {
    const promptStart = ids.length;
    const promptLength = example.prompt.length;
    const ends = example.continuations.map(({ ids }) => promptLength + ids.length - unread);
    const [shortest, longest] = ends.length > 0 ? [Math.min(...ends), Math.max(...ends)] : [promptLength, promptLength];
    for (let i = 0; i < promptLength; i++) {
      ids.push(example.prompt[i]!);
      positions.push(i);
      lengths.push(shortest, longest);
      ranges.push(0, 0, promptStart, promptStart + (mask === 'bidirectional' ? promptLength : i + 1));
      rangePositions.push(0, 0);
    }
    const continuations: { first: number; count: number }[] = [];
    for (const continuation of example.continuations) {
      const start = ids.length;
      const length = continuation.ids.length;
      if (mask === 'bidirectional' && length > 1)
        throw new Error('an answer of several tokens in a bidirectional model');
      for (let i = 0; i < length - 1; i++) {
        ids.push(continuation.ids[i]!);
        positions.push(promptLength + i);
        lengths.push(promptLength + length - unread, promptLength + length - unread);
        ranges.push(promptStart, promptStart + promptLength, start, start + i + 1);
        rangePositions.push(0, promptLength);
      }
      const first = targets.length / 2;
      for (let target = 0; target < continuation.scored; target++) {
        const i = continuation.positions?.[target] ?? length - continuation.scored + target;
        const row = i === 0 ? promptStart + (example.answerRow ?? promptLength - 1) : start + i - 1;
        let label = labelIndex.get(row);
        if (label === undefined) {
          label = labelRows.length;
          labelIndex.set(row, label);
          labelRows.push(row);
        }
        targets.push(label, continuation.ids[i]!);
      }
      continuations.push({ first, count: continuation.scored });
    }
    exampleTargets.push({
      continuations,
      label: example.label,
      kind: example.kind,
      ...(example.correct ? { correct: example.correct } : {}),
    });
  }
  return {
    batch: {
      ids: new Uint32Array(ids),
      positions: new Uint32Array(positions),
      lengths: new Uint32Array(lengths),
      ranges: new Uint32Array(ranges),
      rangePositions: new Uint32Array(rangePositions),
      labelRows: new Uint32Array(labelRows),
      targets: new Uint32Array(targets),
    },
    targets: exampleTargets,
  };
}

/**
 * Plain sequences whose label rows are all rows, each predicting the next token: for perplexity and for tests.
 *
 * @param unread tokens at the end of every sequence that are no part of the text: they give the one before them a row
 */
export function packSequences(
  sequences: readonly (readonly number[])[],
  unread = 0,
): {
  batch: PackedBatch;
  targets: ExampleTargets[];
} {
  return packExamples(
    sequences.map((ids) => ({
      kind: 'completion',
      prompt: ids.slice(0, 1),
      continuations: [{ ids: ids.slice(1), scored: ids.length - 1 }],
      label: 0,
    })),
    unread,
  );
}

/**
 * Texts whose hidden states are wanted at every token: so many rows each as it has tokens, one after the other.
 */
export function packTexts(texts: readonly (readonly number[])[], mask: AttentionMask = 'causal'): PackedBatch {
  if (mask === 'causal') {
    // One more token each, so that the last given one gets a row of its own.
    return packSequences(
      texts.map((ids) => [...ids, 0]),
      1,
    ).batch;
  }
  const examples = texts.map((ids) => ({ kind: 'completion' as const, prompt: [...ids], continuations: [], label: 0 }));
  return packExamples(examples, 0, mask).batch;
}

/**
 * Ranges of a layer that sees only the last `window` positions, the token itself included; in a bidirectional model as
 * many of those after it.
 */
export function slideRanges(batch: PackedBatch, window: number, mask: AttentionMask = 'causal'): Uint32Array {
  const slid = new Uint32Array(batch.ranges);
  for (let row = 0; row < batch.positions.length; row++) {
    // The rows of a text are its keys there, and one after the other.
    if (mask === 'bidirectional') slid[row * 4 + 3] = Math.min(slid[row * 4 + 3]!, row + window);
    // The first position still seen, then both ranges cut to it.
    const first = Math.max(0, batch.positions[row]! - window + 1);
    for (const side of [0, 1]) {
      const index = row * 4 + side * 2;
      const cut = Math.max(0, first - batch.rangePositions[row * 2 + side]!);
      slid[index] = Math.min(slid[index]! + cut, slid[index + 1]!);
    }
  }
  return slid;
}
