import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { openDecodeStream } from '../../src/tokenizer/decode-stream.ts';
import { loadTokenizer, Tokenizer } from '../../src/tokenizer/index.ts';
import { continuesCharacter, incompleteTail } from '../../src/tokenizer/partial-characters.ts';
import { compileDecoder } from '../../src/tokenizer/pieces.ts';
import { openTokenStream, type TokenStream } from '../../src/tokenizer/token-stream.ts';
import { type Random, withSeed } from '../support/random.ts';
import { metaspaceUnigram, sentencePiece, wordPiece } from './definitions.ts';

/** A vocabulary whose token `id` is the byte of this number. */
const bytesOnly = {
  pieces: compileDecoder({ type: 'ByteFallback' }, 'test'),
  token: (id: number) => ({ text: `<0x${id.toString(16).padStart(2, '0')}>`, isPlain: false }),
  isSpecial: () => false,
};
const places = { bytes: (id: number) => Uint8Array.of(id), stripSpaces: 0 };

function openStream(after: readonly number[] = []): TokenStream {
  return openTokenStream(openDecodeStream(bytesOnly, { skipSpecialTokens: false, after }), places, after);
}

function tokenizerOf(tokenizer: Record<string, unknown>): Tokenizer {
  const resolved = { tokenizer, alsoAdded: [], splitsSpecial: false, named: new Map<string, string>() };
  return new Tokenizer({ ...resolved, eosTokenIds: [], file: 'test' });
}

/** Bytes that often nearly are text: leads, continuations and ASCII in any order. */
function nearlyText(random: Random): number[] {
  const kinds = [0x61, 0x80, 0x9f, 0xa0, 0xbf, 0xc1, 0xc3, 0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xbd, 0x90];
  const length = 1 + Math.floor(random.uniform() * 12);
  return Array.from({ length }, () => kinds[Math.floor(random.uniform() * kinds.length)]!);
}

const decode = (bytes: readonly number[]): string =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));

describe('a stream of bytes', () => {
  test('is decoded as by the streaming decoder of the platform', () =>
    withSeed('bytes', (random) => {
      for (let round = 0; round < 2000; round++) {
        const bytes = nearlyText(random);
        const reference = new TextDecoder('utf-8', { ignoreBOM: true });
        const stream = openStream();
        for (const byte of bytes) {
          expect(stream.take(byte).text).toBe(reference.decode(Uint8Array.of(byte), { stream: true }));
        }
        expect(stream.flush()).toBe(reference.decode());
        expect(stream.flush()).toBe('');
      }
    }));

  test('tells the place of every token: the last character of all up to it', () =>
    withSeed('places', (random) => {
      for (let round = 0; round < 2000; round++) {
        const bytes = nearlyText(random);
        const stream = openStream();
        let characters = 0;
        for (const [index, byte] of bytes.entries()) {
          const { text, before } = stream.take(byte);
          expect(characters + before).toBe([...decode(bytes.slice(0, index + 1))].length - 1);
          characters += [...text].length;
        }
      }
    }));

  test('after a prompt that ends in a character owes nothing for it', () => {
    const open = () => openStream([0x61, 0xf0, 0x9f]);
    expect(open().flush()).toBe('');
    const completed = open();
    expect([completed.take(0x98).text, completed.take(0x80).text, completed.flush()]).toEqual(['', '😀', '']);
    const broken = open();
    expect(broken.take(0x62)).toEqual({ text: '\ufffdb', before: 1 });
    const cut = open();
    expect([cut.take(0x98).text, cut.flush()]).toEqual(['', '\ufffd']);
  });
});

test('the first token of a text adds no space that the text loses', () => {
  const tokenizer = tokenizerOf(sentencePiece());
  const [first, second] = tokenizer.encode('abc abc', { addSpecialTokens: false }) as [number, number];
  expect(first).toBe(second);
  const stream = tokenizer.createTokenStream({ skipSpecialTokens: true, after: [1] });
  const bytes: number[] = [];
  let text = '';
  for (const id of [first, 2, second]) {
    bytes.push(...stream.bytesOf(id));
    text += stream.take(id).text;
  }
  expect([Buffer.from(bytes).toString(), text]).toEqual(['abc abc', 'abc abc']);
});

describe('names', () => {
  const definitions = { sentencePiece, wordPiece, metaspaceUnigram };

  test.each(['reviews-3m', ...Object.keys(definitions)])('of all tokens of %s differ', async (name) => {
    const build = definitions[name as keyof typeof definitions];
    const tokenizer = build
      ? tokenizerOf(build())
      : await loadTokenizer(fileURLToPath(new URL(`../../examples/${name}`, import.meta.url)));
    const size = tokenizer.vocabularySize;
    const ids = Array.from({ length: size + 3 }, (_, id) => id);
    const names = ids.map((id) => tokenizer.tokenText(id));
    expect(new Set(names).size).toBe(names.length);
    for (const id of ids.slice(0, size)) {
      const bytes = [...tokenizer.tokenBytes(id)];
      const hex = /^bytes:((\\x[0-9a-f]{2})+)$/.exec(names[id]!)?.[1];
      if (hex)
        expect(
          hex
            .split('\\x')
            .slice(1)
            .map((digits) => Number.parseInt(digits, 16)),
        ).toEqual(bytes);
      else if (!names[id]!.startsWith('token_id:')) expect([...Buffer.from(names[id]!)]).toEqual(bytes);
    }
    expect(names.at(-1)).toBe(`token_id:${size + 2}`);
  });

  test('a letter keeps its text beside the byte token of the same text', () => {
    const tokenizer = tokenizerOf(sentencePiece());
    const firstByte = 3;
    const letter = firstByte + 256 + ['▁', 'a', 'b', 'c'].indexOf('c');
    expect(tokenizer.tokenText(letter)).toBe('c');
    expect(tokenizer.tokenText(firstByte + 0x63)).toBe('bytes:\\x63');
    expect(tokenizer.tokenText(firstByte + 0x64)).toBe('d');
    expect(tokenizer.tokenText(firstByte + 0xf0)).toBe('bytes:\\xf0');
  });
});

test('characters that are not complete', () => {
  for (const [bytes, tail] of [
    [[0x61], 0],
    [[0x61, 0xf0], 1],
    [[0xf0, 0x9f, 0x98], 3],
    [[0xf0, 0x9f, 0x98, 0x80], 0],
    [[0xf0, 0x80], 0],
    [[0xed, 0xa0], 0],
    [[0x80, 0x80], 0],
    [[0xc1], 0],
    [[0xe2, 0x98], 2],
  ] as const) {
    expect(incompleteTail(Uint8Array.from(bytes))).toBe(tail);
  }
  expect(continuesCharacter(Uint8Array.of(0xef, 0xbf), 0xbd)).toBe(true);
  expect(continuesCharacter(Uint8Array.of(0xef, 0xbf), 0x61)).toBe(false);
  expect(continuesCharacter(Uint8Array.of(0xf0), 0x80)).toBe(false);
  expect(continuesCharacter(Uint8Array.of(0xf0), 0x9f)).toBe(true);
});
