import { expect, test } from 'vitest';
import { type LossSums, noLoss } from '../../src/objectives/loss.ts';
import { addParts, isCut, partsOf, whole } from '../../src/train/shards.ts';
import { withSeed } from '../support/random.ts';

test('a step is cut into runs of examples under ranges of probes, all of them once and none empty', () => {
  const batch = ['a', 'b', 'c', 'd', 'e'];
  const parts = partsOf(batch, { shards: 2, queryShards: 2 }, 3);
  expect(parts.map(({ shard, examples, probes }) => [shard, examples.join(''), probes.first, probes.count])).toEqual([
    [0, 'ab', 0, 1],
    [0, 'ab', 1, 2],
    [1, 'cde', 0, 1],
    [1, 'cde', 1, 2],
  ]);
  expect(partsOf(batch, { shards: 9, queryShards: 9 }, 2)).toHaveLength(10);
  expect(partsOf(batch, whole, 2)).toEqual([{ shard: 0, examples: batch, probes: { first: 0, count: 2 } }]);
  expect([isCut(whole), isCut({ shards: 1, queryShards: 2 }), isCut({ shards: 2, queryShards: 1 })]).toEqual([
    false,
    true,
    true,
  ]);
});

test('the sums of a probe are added in the order of its examples, whatever ranges its neighbours are in', () =>
  withSeed('parts', (random) => {
    const [shards, probes] = [5, 6];
    const losses = Array.from({ length: shards }, () =>
      Array.from({ length: probes }, () => 1e3 ** random.normals(1)[0]!),
    );
    const sumsOf = (loss: number): LossSums => ({ ...noLoss, optionLoss: loss, optionExamples: 1 });
    const expected = Array.from({ length: probes }, (_, probe) => losses.reduce((sum, row) => sum + row[probe]!, 0));
    for (const queryShards of [1, 2, 4, 6]) {
      const parts = partsOf(losses, { shards, queryShards }, probes);
      const sums = parts.map(({ examples, probes: { first, count } }) =>
        examples[0]!.slice(first, first + count).map(sumsOf),
      );
      const added = addParts(parts, sums);
      expect(added.map(({ optionLoss }) => optionLoss)).toEqual(expected);
      expect(added.map(({ optionExamples }) => optionExamples)).toEqual(expected.map(() => shards));
    }
  }));
