/** Byte-pair encoding against its definition, with random vocabularies. */

import { describe, expect, test } from 'vitest';
import { compileModel, type Model } from '../../src/tokenizer/model.ts';

const seed = Math.floor(Math.random() * 2 ** 31);
console.log(`seed ${seed}`);
let state = seed;
function draw(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

const mark = '▁';
const letters = [mark, 'a', 'b', 'c'];

interface Drawn {
  model: Model;
  merges: [string, string][];
  ids: Map<string, number>;
}

/** A vocabulary in which every merge joins tokens of earlier ones. @param joins whether a pair may become a token */
function drawModel(joins: (left: string, right: string) => boolean): Drawn {
  const tokens = [...letters];
  const merges: [string, string][] = [];
  for (let tries = 0; tries < 400 && merges.length < 40; tries++) {
    const [left, right] = [tokens[draw(tokens.length)]!, tokens[draw(tokens.length)]!];
    const isThere = merges.some(([one, other]) => one === left && other === right);
    if (isThere || left.length + right.length > 6 || !joins(left, right)) continue;
    merges.push([left, right]);
    // Several merges may make the same token.
    if (!tokens.includes(left + right)) tokens.push(left + right);
  }
  const ids = new Map(['<unk>', ...tokens].map((token, id) => [token, id]));
  // Ranks that do not follow the lengths, as no training leaves them.
  merges.sort(() => draw(3) - 1);
  const model = compileModel(
    { type: 'BPE', unk_token: '<unk>', fuse_unk: true, vocab: Object.fromEntries(ids), merges },
    'tokenizer.json',
  );
  return { model, merges, ids };
}

/** Letters, with some that the vocabulary lacks. */
function drawWord(length: number): string {
  return Array.from({ length }, () => (draw(9) === 0 ? 'x' : letters[draw(draw(2) === 0 ? 2 : letters.length)]!)).join(
    '',
  );
}

/** Of all pairs the one of the smallest rank, of those the leftmost, until there is none. */
function encodeSlowly(word: string, { merges, ids }: Drawn): number[] {
  const symbols = word.replaceAll(/x+/g, '?').split('');
  for (;;) {
    const ranks = symbols.slice(1).map((right, index) => {
      const rank = merges.findIndex(([left, other]) => left === symbols[index] && other === right);
      return rank === -1 ? Number.POSITIVE_INFINITY : rank;
    });
    const least = Math.min(...ranks);
    if (least === Number.POSITIVE_INFINITY) return symbols.map((symbol) => ids.get(symbol) ?? ids.get('<unk>')!);
    const at = ranks.indexOf(least);
    symbols.splice(at, 2, symbols[at]! + symbols[at + 1]!);
  }
}

describe('BPE', () => {
  test('merges the pair of the smallest rank over and over, in short words and in long ones', () => {
    for (let round = 0; round < 30; round++) {
      const drawn = drawModel(() => true);
      for (const length of [1, 2, 3, 8, 30, 63, 64, 65, 66, 200]) {
        const word = drawWord(length);
        expect(drawn.model.encode(word), `${word} ${JSON.stringify(drawn.merges)}`).toEqual(encodeSlowly(word, drawn));
      }
    }
  });

  test('cuts words at marks where no merge joins them to what stands before, and gets the same ids', () => {
    let parts = 0;
    for (let round = 0; round < 30; round++) {
      const { model } = drawModel((left, right) => !right.startsWith(mark) || left.replaceAll(mark, '') === '');
      for (const length of [1, 2, 3, 8, 30, 100]) {
        const word = drawWord(length);
        const cut = model.parts!(word);
        parts += cut.length;
        expect(cut.join('')).toBe(word);
        expect(
          cut.flatMap((part) => model.encode(part)),
          word,
        ).toEqual(model.encode(word));
      }
    }
    expect(parts).toBeGreaterThan(1000);
  });

  test('cuts nothing where a merge joins a mark to a letter before it', () => {
    const { model } = drawModel((left, right) => left === 'a' && right === mark);
    expect(model.parts).toBeUndefined();
    expect(model.encode(`a${mark}`)).toHaveLength(1);
  });

  test.each([
    ['that knows its place in the word', { continuing_subword_prefix: '##' }],
    ['that knows where the word ends', { end_of_word_suffix: '</w>' }],
    ['that takes whole words from the vocabulary', { ignore_merges: true }],
  ])('cuts nothing for a vocabulary %s', (_name, options) => {
    const vocab = { [mark]: 0, a: 1 };
    const cuts = (more: object) =>
      compileModel({ type: 'BPE', vocab, merges: [], ...more }, 'tokenizer.json').parts !== undefined;
    expect([cuts({}), cuts(options)]).toEqual([true, false]);
  });
});
