import { describe, expect, test } from 'vitest';
import { StopFilter } from '../../src/generate/stop.ts';
import { randomNumbers } from '../train/killing.ts';

/** What is shown of pieces, and whether a stop string ended it. */
function filter(stops: string[], pieces: readonly string[]): { shown: string[]; stopped: boolean } {
  const stop = new StopFilter(stops);
  const shown = pieces.map((piece) => stop.push(piece));
  shown.push(stop.flush());
  return { shown, stopped: stop.stopped };
}

describe('stop strings', () => {
  test('within a piece', () => {
    expect(filter(['\n'], ['one', ' two\nthree', ' four'])).toEqual({ shown: ['one', ' two', '', ''], stopped: true });
  });

  test('across pieces: what may become one is held back', () => {
    const { shown, stopped } = filter(['END'], ['a E', 'N', 'D b']);
    expect(shown).toEqual(['a ', '', '', '']);
    expect(stopped).toBe(true);
  });

  test('what was held back is shown once it cannot become one, and at the end', () => {
    expect(filter(['END'], ['a E', 'N', 'O b', ' EN']).shown).toEqual(['a ', '', 'ENO b', ' ', 'EN']);
  });

  test('a beginning within a beginning', () => {
    expect(filter(['aab'], ['a', 'a', 'a', 'b', 'c']).shown.join('')).toBe('a');
  });

  test('none, or an empty one, stop nothing', () => {
    expect(filter([], ['a', 'b'])).toEqual({ shown: ['a', 'b', ''], stopped: false });
    expect(filter([''], ['a', 'b'])).toEqual({ shown: ['a', 'b', ''], stopped: false });
  });

  test('the one that is complete first counts, in whatever pieces the text comes', () => {
    expect(filter(['abcd', 'bc'], ['xabcd']).shown.join('')).toBe('xa');
    expect(filter(['abcd', 'bc'], [...'xabcd']).shown.join('')).toBe('xa');
  });

  test('random texts in random pieces: as character by character', () => {
    const random = randomNumbers(3);
    const letters = (count: number) => Array.from({ length: count }, () => 'ab'[Math.floor(random() * 2)]).join('');
    let stoppedTexts = 0;
    for (let round = 0; round < 500; round++) {
      const stops = Array.from({ length: 1 + Math.floor(random() * 3) }, () => letters(2 + Math.floor(random() * 4)));
      const text = letters(Math.floor(random() * 20));
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const length = 1 + Math.floor(random() * 6);
        pieces.push(text.slice(at, at + length));
        at += length;
      }
      // The shortest beginning of the text that ends with a stop string, without the longest such.
      let expected = text;
      let stopped = false;
      for (let end = 1; end <= text.length && !stopped; end++) {
        const found = stops.filter((stop) => text.slice(0, end).endsWith(stop)).map(({ length }) => length);
        if (found.length === 0) continue;
        stopped = true;
        expected = text.slice(0, end - Math.max(...found));
      }
      const actual = filter(stops, pieces);
      expect([actual.shown.join(''), actual.stopped], JSON.stringify([stops, pieces])).toEqual([expected, stopped]);
      if (stopped) stoppedTexts++;
    }
    expect(stoppedTexts).toBeGreaterThan(100);
    expect(stoppedTexts).toBeLessThan(490);
  });
});
