import { describe, expect, it } from 'vitest';
import { MergeTable } from '../../src/tokenizer/merge-table.ts';

describe('MergeTable', () => {
  it('finds what was set, and nothing else, as a map of pairs does', () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    console.log(`seed ${seed}`);
    let state = seed;
    const draw = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const count = 5000;
    const table = new MergeTable(count);
    const expected = new Map<string, { rank: number; id: number }>();
    for (let rank = 0; rank < count; rank++) {
      // Few ids, so that pairs come twice and with one half in common; and ids up to the largest.
      const [left, right] = rank % 2 === 0 ? [draw(60), draw(60)] : [draw(1 << 22), draw(1 << 22)];
      const merge = { rank, id: draw(1 << 22) };
      table.set(left, right, merge);
      expected.set(`${left} ${right}`, merge);
    }
    const found = (left: number, right: number) => {
      const at = table.find(left, right);
      return at < 0 ? undefined : { rank: table.rankOf(at), id: table.idOf(at) };
    };
    for (const [pair, merge] of expected) {
      const [left, right] = pair.split(' ').map(Number) as [number, number];
      expect(found(left, right)).toEqual(merge);
      expect(found(right, left)).toEqual(expected.get(`${right} ${left}`));
    }
    for (let left = 0; left < 60; left++) {
      for (let right = 0; right < 60; right++) expect(found(left, right)).toEqual(expected.get(`${left} ${right}`));
    }
  });

  it('is empty without merges', () => {
    expect(new MergeTable(0).find(0, 0)).toBe(-1);
  });
});
