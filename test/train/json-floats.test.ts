import { describe, expect, it } from 'vitest';
import { parseKept, writeKept } from '../../src/train/json-floats.ts';

describe('JSON with kept numbers', () => {
  it('writes the numbers of a text as they stand there', () => {
    const text = ['{', '  "scale": 1.0,', '  "eps": 1e-06,', '  "layers": [', '    3,', '    -2.50', '  ]', '}'].join(
      '\n',
    );
    expect(JSON.stringify(JSON.parse(text), null, 2)).not.toBe(text);
    expect(writeKept(parseKept(text))).toBe(text);
  });
  it('leaves strings and keys alone', () => {
    const value = { '1.0': 'a "1.0" \\ 1e-06', b: '1.0', c: null, d: [true, 7] };
    expect(parseKept(JSON.stringify(value))).toEqual(value);
    expect(JSON.parse(writeKept(parseKept(JSON.stringify(value))))).toEqual(value);
  });
  it('refuses what is no JSON', () => {
    expect(() => parseKept('{"a": 1.0,,}')).toThrow(SyntaxError);
  });
});
