import { expect, test } from 'vitest';
import { decodeUtf8, utf8Problem } from '../../src/data/utf8.ts';

test('the first byte that is no character is named, in random bytes as a decoder that replaces them finds it', () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`seed ${seed}`);
  let state = seed;
  const draw = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const characters = ['a', 'é', '日', '😀', '\uFEFF'].map((text) => [...new TextEncoder().encode(text)]);
  let wrong = 0;
  for (let round = 0; round < 2000; round++) {
    const bytes = Uint8Array.from(
      Array.from({ length: draw(8) }, () => characters[draw(characters.length)]!).flatMap((character) =>
        // Some lose bytes at either end.
        draw(6) === 0 ? character.slice(draw(2), character.length - draw(2)) : character,
      ),
    );
    const replaced = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
    const at = replaced.indexOf('\uFFFD');
    if (at === -1) {
      expect(decodeUtf8(bytes)).toBe(replaced);
      continue;
    }
    wrong++;
    expect(() => decodeUtf8(bytes)).toThrow(TypeError);
    const place = new TextEncoder().encode(replaced.slice(0, at)).length;
    const byte = bytes[place]!.toString(16).toUpperCase();
    expect(utf8Problem(bytes), `bytes ${bytes}`).toContain(`: byte ${place + 1} of it is 0x${byte}; `);
  }
  expect(wrong).toBeGreaterThan(200);
});
