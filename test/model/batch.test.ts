/** Packing: which rows exist, what each row sees, where labels are read. */

import { describe, expect, test } from 'vitest';
import type { TokenizedExample } from '../../src/data/example.ts';
import { exampleRows, packExamples, packSequences, slideRanges } from '../../src/model/batch.ts';
import { Random, testSeed } from '../support/random.ts';

const pairs = (values: Uint32Array, width: number) =>
  Array.from({ length: values.length / width }, (_, i) => [...values.subarray(i * width, (i + 1) * width)]);

/** Positions of the tokens that a row sees, in order, from its ranges. */
function seen(
  batch: { positions: Uint32Array },
  ranges: Uint32Array,
  row: number,
): { row: number; position: number }[] {
  const [a, b, c, d] = ranges.subarray(row * 4, row * 4 + 4);
  const rows: number[] = [];
  for (let i = a!; i < b!; i++) rows.push(i);
  for (let i = c!; i < d!; i++) rows.push(i);
  return rows.map((index) => ({ row: index, position: batch.positions[index]! }));
}

describe('packExamples', () => {
  const example: TokenizedExample = {
    kind: 'options',
    prompt: [10, 11, 12],
    continuations: [
      { ids: [20, 21, 22], scored: 3 },
      { ids: [30], scored: 1 },
      { ids: [40, 41], scored: 1 },
    ],
    label: 1,
    correct: [1, 2],
  };

  test('the layout of one example, by hand', () => {
    const { batch, targets } = packExamples([example]);
    // The last token of a continuation has no row: nothing is predicted from it.
    expect([...batch.ids]).toEqual([10, 11, 12, 20, 21, 40]);
    expect([...batch.positions]).toEqual([0, 1, 2, 3, 4, 3]);
    expect(pairs(batch.ranges, 4)).toEqual([
      [0, 0, 0, 1],
      [0, 0, 0, 2],
      [0, 0, 0, 3],
      [0, 3, 3, 4],
      [0, 3, 3, 5],
      [0, 3, 5, 6],
    ]);
    expect(pairs(batch.rangePositions, 2)).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
      [0, 3],
      [0, 3],
      [0, 3],
    ]);
    // First tokens of options share the prompt's last row; 40 belongs to the prompt and is not scored.
    expect([...batch.labelRows]).toEqual([2, 3, 4, 5]);
    expect(pairs(batch.targets, 2)).toEqual([
      [0, 20],
      [1, 21],
      [2, 22],
      [0, 30],
      [3, 41],
    ]);
    expect(targets).toEqual([
      {
        continuations: [
          { first: 0, count: 3 },
          { first: 3, count: 1 },
          { first: 4, count: 1 },
        ],
        label: 1,
        correct: [1, 2],
        kind: 'options',
      },
    ]);
    expect(exampleRows(example)).toBe(batch.ids.length);
  });

  test('a second example starts at position 0 and sees nothing of the first', () => {
    const second: TokenizedExample = {
      kind: 'completion',
      prompt: [1],
      continuations: [{ ids: [2, 3], scored: 2 }],
      label: 0,
    };
    const { batch, targets } = packExamples([example, second]);
    expect([...batch.ids.subarray(6)]).toEqual([1, 2]);
    expect([...batch.positions.subarray(6)]).toEqual([0, 1]);
    expect(pairs(batch.ranges, 4).slice(6)).toEqual([
      [0, 0, 6, 7],
      [6, 7, 7, 8],
    ]);
    expect([...batch.labelRows.subarray(4)]).toEqual([6, 7]);
    expect(pairs(batch.targets, 2).slice(5)).toEqual([
      [4, 2],
      [5, 3],
    ]);
    expect(targets[1]).toEqual({ continuations: [{ first: 5, count: 2 }], label: 0, kind: 'completion' });
  });

  test('options of one token need no rows beyond the prompt', () => {
    const { batch } = packExamples([
      {
        kind: 'options',
        prompt: [5, 6],
        continuations: [
          { ids: [7], scored: 1 },
          { ids: [8], scored: 1 },
        ],
        label: 0,
      },
    ]);
    expect([...batch.ids]).toEqual([5, 6]);
    expect([...batch.labelRows]).toEqual([1]);
    expect(pairs(batch.targets, 2)).toEqual([
      [0, 7],
      [0, 8],
    ]);
  });

  test('no examples, no rows', () => {
    const { batch, targets } = packExamples([]);
    expect(batch.ids.length).toBe(0);
    expect(targets).toEqual([]);
  });

  // In random batches every row must see exactly the tokens before it of its own sequence, each once.
  test('every row sees its own sequence and nothing else, with and without a window', () => {
    const random = new Random(testSeed, 'packing');
    for (let round = 0; round < 30; round++) {
      const draw = (low: number, high: number) =>
        Array.from({ length: random.integer(low, high) }, () => random.integer(0, 99));
      const examples: TokenizedExample[] = Array.from({ length: random.integer(1, 5) }, () => {
        const continuations = Array.from({ length: random.integer(1, 4) }, () => {
          const ids = draw(1, 6);
          return { ids, scored: random.integer(1, ids.length) };
        });
        return { kind: 'options', prompt: draw(1, 12), continuations, label: 0 };
      });
      const { batch, targets } = packExamples(examples);
      expect(batch.ids.length).toBe(examples.reduce((sum, example) => sum + exampleRows(example), 0));
      const window = random.integer(1, 9);
      const slid = slideRanges(batch, window);
      for (const [index, example] of examples.entries()) {
        for (const [option, { ids, scored }] of example.continuations.entries()) {
          const sequence = [...example.prompt, ...ids];
          const { first, count } = targets[index]!.continuations[option]!;
          expect(count).toBe(scored);
          for (let i = 0; i < count; i++) {
            const label = batch.targets[(first + i) * 2]!;
            const position = sequence.length - scored + i;
            expect(batch.targets[(first + i) * 2 + 1]).toBe(sequence[position]);
            const row = batch.labelRows[label]!;
            const tokens = seen(batch, batch.ranges, row).map(({ row }) => batch.ids[row]);
            expect(tokens, `seed ${testSeed}`).toEqual(sequence.slice(0, position));
            const inWindow = seen(batch, slid, row);
            expect(inWindow.map(({ row }) => batch.ids[row])).toEqual(
              sequence.slice(Math.max(0, position - window), position),
            );
            expect(inWindow.at(-1)!.row).toBe(row);
          }
        }
      }
    }
  });
});

describe('packSequences', () => {
  test('every token but the first is predicted once', () => {
    const { batch, targets } = packSequences([
      [1, 2, 3],
      [4, 5],
    ]);
    expect([...batch.ids]).toEqual([1, 2, 4]);
    expect([...batch.labelRows]).toEqual([0, 1, 2]);
    expect(pairs(batch.targets, 2)).toEqual([
      [0, 2],
      [1, 3],
      [2, 5],
    ]);
    expect(targets.map(({ continuations }) => continuations)).toEqual([
      [{ first: 0, count: 2 }],
      [{ first: 2, count: 1 }],
    ]);
  });
});

describe('slideRanges', () => {
  test('a window wider than the sequence changes nothing', () => {
    const { batch } = packSequences([[1, 2, 3, 4, 5]]);
    expect(slideRanges(batch, 100)).toEqual(batch.ranges);
  });

  test('a window of one token is the token itself', () => {
    const { batch } = packSequences([[1, 2, 3, 4]]);
    const slid = slideRanges(batch, 1);
    for (let row = 0; row < 3; row++) expect(seen(batch, slid, row).map(({ row }) => row)).toEqual([row]);
  });
});
