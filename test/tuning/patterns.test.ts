import { describe, expect, test } from 'vitest';
import { selectNames } from '../../src/tuning/patterns.ts';

const names = [
  'model.embed_tokens.weight',
  'model.layers.0.self_attn.q_proj.weight',
  'model.layers.0.self_attn.q_proj.bias',
  'model.layers.0.mlp.up_proj.weight',
  'model.layers.1.self_attn.q_proj.weight',
  'model.layers.1.self_attn.q_proj.bias',
  'model.layers.1.mlp.up_proj.weight',
  'model.layers.10.mlp.up_proj.weight',
  'model.norm.weight',
];
const at = (...indices: number[]) => indices.map((index) => names[index]);
const select = (...patterns: string[]) => selectNames(names, patterns, 'parameters');

describe('parameters by name', () => {
  test.each<[string[], number[]]>([
    [[], [0, 1, 2, 3, 4, 5, 6, 7, 8]],
    [['*'], [0, 1, 2, 3, 4, 5, 6, 7, 8]],
    [['model.norm.weight'], [8]],
    [['*.self_attn.*'], [1, 2, 4, 5]],
    [['*.layers.1.*'], [4, 5, 6]],
    [
      ['*.self_attn.*', '!*.bias'],
      [1, 4],
    ],
    [['!*.bias'], [0, 1, 3, 4, 6, 7, 8]],
    // The last pattern that fits decides.
    [
      ['!*.layers.*', '*.layers.0.*', '!*.bias'],
      [0, 1, 3, 8],
    ],
    [
      ['*q_proj*', '*norm*'],
      [1, 2, 4, 5, 8],
    ],
    [['model.*0*.weight'], [1, 3, 7]],
  ])('%j', (patterns, expected) => expect(select(...patterns)).toEqual(at(...expected)));

  test.each([['q_proj'], ['*.k_proj.*'], ['*norm.weight*x'], ['model.norm.weight.*weight']])(
    '%j fits nothing and is named, with names that there are',
    (pattern) => {
      const expected = expect.objectContaining({ code: 'invalid_argument', parameter: 'parameters' });
      expect(() => select('*.self_attn.*', pattern)).toThrow(expected);
      expect(() => select(`!${pattern}`)).toThrow(/fits .*model\.embed_tokens\.weight.*9 in all/);
    },
  );

  test('an awkward pattern takes no time', () => {
    const long = `${'a'.repeat(200)}b`;
    const started = performance.now();
    expect(() => selectNames([long], [`${'*a'.repeat(120)}*c`], 'parameters')).toThrow(/fits/);
    expect(performance.now() - started).toBeLessThan(100);
  });

  test('signs and brackets stand for themselves', () => {
    expect(selectNames(['a.b', 'axb', 'a[b]'], ['a.b'], 'parameters')).toEqual(['a.b']);
    expect(selectNames(['a.b', 'axb', 'a[b]'], ['a[*'], 'parameters')).toEqual(['a[b]']);
  });

  test('patterns that leave nothing', () => {
    expect(() => select('*', '!*')).toThrow(/no parameter to train/);
  });
});
