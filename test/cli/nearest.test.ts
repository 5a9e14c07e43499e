import { describe, expect, it } from 'vitest';
import { editDistance, nearest, suggestion } from '../../src/cli/nearest.ts';

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['abc', '', 3],
    ['', 'abc', 3],
    ['steps', 'steps', 0],
    ['stpes', 'steps', 1], // a swap of neighbours is one edit
    ['step', 'steps', 1],
    ['kitten', 'sitting', 3],
    ['ca', 'abc', 3], // optimal string alignment: the unrestricted distance would be 2
  ])('%j → %j is %d', (from, to, distance) => {
    expect(editDistance(from, to)).toBe(distance);
    expect(editDistance(to, from)).toBe(distance);
  });
});

describe('nearest', () => {
  const names = ['steps', 'seed', 'learning-rate', 'batch-size', 'schedule'];
  it('finds typing errors, initials and beginnings', () => {
    expect(nearest('stpes', names)).toEqual({ name: 'steps', near: true });
    expect(nearest('lr', names)).toEqual({ name: 'learning-rate', near: true });
    expect(nearest('batch', names)).toEqual({ name: 'batch-size', near: true });
    expect(nearest('STEPS', names)).toEqual({ name: 'steps', near: true });
  });
  it('names a far one, but does not claim that it was meant', () => {
    expect(nearest('quantisation', names)?.near).toBe(false);
    expect(suggestion('stpes', names, '--')).toBe('; did you mean --steps?');
    expect(suggestion('zzz', ['seed'], '--')).toBe('; the nearest is --seed');
  });
  it('has nothing to say without candidates', () => {
    expect(nearest('steps', [])).toBeUndefined();
    expect(suggestion('steps', [])).toBe('');
  });
});
