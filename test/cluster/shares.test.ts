import { expect, test, vi } from 'vitest';
import { Members } from '../../src/cluster/members.ts';
import { median, sharesOf } from '../../src/cluster/shares.ts';
import { withSeed } from '../support/random.ts';

const end = (paces: readonly number[], shares: readonly number[]): number =>
  Math.max(...shares.map((share, member) => share * paces[member]!));

test('who is twice as fast has twice the parts, and nobody is waited for who would end last', () => {
  expect(sharesOf([10, 20, 20], 16)).toEqual([8, 4, 4]);
  expect(sharesOf([10, 10], 5)).toEqual([3, 2]);
  expect(sharesOf([10, 1000], 4)).toEqual([4, 0]);
  expect(sharesOf([], 4)).toEqual([]);
  expect(median([9, 1, 5])).toBe(5);
});

test('no other way to share parts out is done earlier, equal parts least of all', () =>
  withSeed('shares', (random) => {
    for (let trial = 0; trial < 50; trial++) {
      const paces = Array.from({ length: 3 }, () => 1 + 20 * random.uniform());
      const parts = 1 + Math.floor(12 * random.uniform());
      const shares = sharesOf(paces, parts);
      expect(shares.reduce((sum, share) => sum + share, 0)).toBe(parts);
      let best = Number.POSITIVE_INFINITY;
      for (let a = 0; a <= parts; a++)
        for (let b = 0; a + b <= parts; b++) best = Math.min(best, end(paces, [a, b, parts - a - b]));
      expect(end(paces, shares)).toBe(best);
    }
  }));

test('a member has room by how fast it was, its first part aside', () => {
  const members = new Members({ name: 'here', adapter: 'a' }, () => 0);
  const other = members.add({ name: 'there', adapter: 'a', software: true }, 0)!;
  const work = (milliseconds: number) => ({ tokens: 10, milliseconds, bytes: 0 });
  members.scored(members.own, 0, work(10_000));
  members.scored(other, 0, work(5000));
  members.share(8, 1);
  expect([members.roomOf(members.own), members.roomOf(other)]).toEqual([1, 1]);
  for (const _ of [1, 2, 3]) {
    members.scored(members.own, 1, work(30));
    members.scored(other, 1, work(10));
  }
  members.share(9, 2);
  expect([members.roomOf(members.own), members.roomOf(other)]).toEqual([2, 7]);
  for (const _ of [1, 2, 3]) members.scored(other, 2, work(100_000));
  members.share(8, 3);
  expect([members.roomOf(members.own), members.roomOf(other)]).toEqual([8, 0]);
  // The leader never rests.
  for (const _ of [1, 2, 3, 4, 5]) {
    members.scored(members.own, 3, work(1_000_000));
    members.scored(other, 3, work(1));
  }
  members.share(7, 4);
  expect([members.roomOf(members.own), members.roomOf(other)]).toEqual([1, 7]);
});

test('a worker whose parts take long has its share all the same, one that is gone has none', () => {
  vi.useFakeTimers();
  try {
    const members = new Members({ name: 'here', adapter: 'a' }, () => 0);
    const other = members.add({ name: 'there', adapter: 'a', software: true }, 0)!;
    const work = { tokens: 10, milliseconds: 40_000, bytes: 0 };
    for (const step of [0, 1, 2]) {
      for (const member of [members.own, other]) members.scored(member, step, work);
      vi.advanceTimersByTime(45_000);
    }
    members.share(4, 3);
    expect([members.roomOf(members.own), members.roomOf(other)]).toEqual([2, 2]);
    for (const step of [3, 4]) members.scored(members.own, step, work);
    vi.advanceTimersByTime(45_000);
    members.share(4, 5);
    expect(members.roomOf(members.own)).toBe(4);
  } finally {
    vi.useRealTimers();
  }
});
