/** What becomes of examples that are too long, and examples that lie in a file. */

import { expect, test } from 'vitest';
import type { Encoder } from '../../src/data/encoder.ts';
import { ExampleStore, forgetGeneration } from '../../src/data/example-store.ts';
import type { Example, TokenizedExample } from '../../src/data/index.ts';
import { summarize } from '../../src/data/summary.ts';
import { tokenizeExamples } from '../../src/data/tokenize.ts';
import type { Truncate } from '../../src/data/truncation.ts';
import { fingerprintOf } from '../../src/train/examples.ts';
import { withSeed } from '../support/random.ts';

/** A token a character. */
const encoder: Encoder = {
  addsBosToken: false,
  bosTokenId: undefined,
  encode: (text) => Array.from(text, (character) => character.codePointAt(0)!),
} as Encoder;
const text = (ids: readonly number[]) => String.fromCodePoint(...ids);

const fits: Example = { prompt: 'ab', completion: 'cd', source: 'f:1' };
const long: Example = { prompt: 'abcde', completion: 'fghij', source: 'f:2' };
const plain: Example = { prompt: '', completion: 'abcdefghijkl', source: 'f:3' };

const tokenize = (truncate: Truncate, examples: readonly Example[] = [fits, long, plain]) =>
  tokenizeExamples(encoder, examples, { contextLength: 8, truncate });
const shown = ({ examples }: { examples: TokenizedExample[] }) =>
  examples.map(({ prompt, continuations: [one] }) => `${text(prompt)}|${text(one!.ids)} ${one!.scored}`);

test('left: prompts lose their beginning, texts become several', () => {
  const data = tokenize('left');
  expect(shown(data)).toEqual(['ab|cd 2', 'cde|fghij 5', 'a|bcdefgh 7', 'h|ijkl 4']);
  expect({ ...data, rows: [...data.rows] }).toMatchObject({ truncated: 1, split: 1, dropped: 0, rows: [0, 1, 2, 2] });
});

test('right: they lose their end', () => {
  const data = tokenize('right');
  expect(shown(data)).toEqual(['ab|cd 2', 'abcde|fgh 3', 'a|bcdefgh 7']);
  expect({ ...data, rows: [...data.rows] }).toMatchObject({ truncated: 2, split: 0, dropped: 0, rows: [0, 1, 2] });
  const turns: Example = {
    prompt: 'ab',
    completion: 'cdefghij',
    spans: [
      [0, 2],
      [4, 6],
      [7, 8],
    ],
    source: 'f:4',
  };
  expect(tokenize('right', [turns]).examples[0]!.continuations).toEqual([
    { ids: [...'cdefgh'].map((letter) => letter.charCodeAt(0)), scored: 4, positions: [0, 1, 4, 5] },
  ]);
  expect(() => tokenize('right', [{ prompt: 'abcdefgh', completion: 'i', source: 'f:5' }])).toThrow(
    /^f:5: the prompt alone fills the context of 8 tokens; use another choice of truncate, such as drop$/,
  );
  const options: Example = { prompt: 'abcdef', options: ['ghi', 'jkl'], label: 0, source: 'f:6' };
  const pair: Example = { ...options, label: 0, preference: true };
  expect(() => tokenize('right', [pair])).toThrow('answers to compare cannot lose their end');
  expect(() => tokenize('right', [options])).toThrow(/^f:6: options cannot lose their end/);
});

test('drop leaves them out, error refuses them', () => {
  const data = tokenize('drop');
  expect(shown(data)).toEqual(['ab|cd 2']);
  expect({ ...data, rows: [...data.rows] }).toMatchObject({ truncated: 0, split: 0, dropped: 2, rows: [0] });
  expect(() => tokenize('error')).toThrow(
    /^f:2: the example has 10 tokens, more than the context of 8, and truncate is "error"$/,
  );
});

test('the summary counts and shows what is learnt', () => {
  const data = tokenize('left');
  expect(summarize(data, { name: 'completion' }, text)).toEqual({
    ...{ format: 'completion', rows: 3, examples: 4, truncated: 1, split: 1, dropped: 0, first: 'ab⟦cd⟧' },
    tokens: { minimum: 4, median: 8, p95: 8, maximum: 8 },
  });
  const turns: Example = {
    prompt: 'a\n',
    completion: 'bcdefg',
    spans: [
      [0, 2],
      [4, 6],
    ],
  };
  expect(summarize(tokenize('left', [turns]), { name: 'messages' }, text).first).toBe('a\\n⟦bc⟧de⟦fg⟧');
  const options: Example = { prompt: 'It was', options: ['A', 'B'], label: 1 };
  expect(summarize(tokenize('left', [options]), { name: 'options' }, text).first).toBe('It wasA |⟦B⟧');
});

test('examples that lie in a file are what they were', () =>
  withSeed('stored examples', (random) => {
    const integer = (low: number, high: number) => random.integer(low, high);
    const list = (length: number, limit = 0xffff_fffe) => Array.from({ length }, () => integer(0, limit));
    const examples = Array.from({ length: 3000 }, (): TokenizedExample => {
      const count = integer(1, 4);
      return {
        kind: count > 1 ? 'options' : 'completion',
        label: integer(0, count - 1),
        prompt: list(integer(0, 40)),
        continuations: Array.from({ length: count }, () => ({
          ids: list(integer(1, 300)),
          scored: integer(1, 9),
          ...(integer(0, 1) ? { positions: list(integer(0, 5), 300) } : {}),
        })),
        ...(integer(0, 1) ? { correct: [0, 1] } : {}),
      };
    });
    // One that is larger than a block of the file.
    examples.splice(1000, 0, {
      kind: 'completion',
      label: 0,
      prompt: list(300_000),
      continuations: [{ ids: [1], scored: 1 }],
    });
    const store = new ExampleStore(5000);
    const kept = examples.map((example) => store.keep(example));
    expect(kept.filter((example, index) => example === examples[index]).length).toBeLessThan(40);
    expect(fingerprintOf(kept)).toBe(fingerprintOf(examples));
    for (let look = 0; look < 2000; look++) {
      const index = look === 0 ? 1000 : integer(0, examples.length - 1);
      if (look < 20) expect(JSON.parse(JSON.stringify(kept[index]))).toEqual(examples[index]);
      const { kind, label, prompt, continuations, correct } = kept[index]!;
      expect({ kind, label, prompt, continuations, ...(correct ? { correct } : {}) }, `example ${index}`).toEqual(
        examples[index],
      );
    }
  }));

test('what answers are generated from is in the file too, and is forgotten where nothing is generated', () =>
  withSeed('generation in the store', (random) => {
    const integer = (from: number, to: number) => from + Math.floor(random.uniform() * (to + 1 - from));
    const list = (length: number) => Array.from({ length }, () => integer(0, 100_000));
    const examples = Array.from({ length: 300 }, (_, index): TokenizedExample => {
      const prompt = list(integer(1, 9));
      const item = JSON.stringify({ index, text: 'é😀\u0000"\\'.repeat(integer(0, 5)) });
      const generation = {
        prompt: index % 3 === 0 ? prompt : list(integer(0, 5)),
        references: ['ü', ''].slice(index % 3),
      };
      return index % 2 === 0
        ? { kind: 'prompt', prompt, continuations: [], label: 0, generation: { ...generation, item } }
        : { kind: 'options', prompt, continuations: [{ ids: list(3), scored: 2 }], label: 0, generation };
    });
    const store = new ExampleStore(0);
    const kept = examples.map((example) => store.keep(example));
    for (const [index, example] of kept.entries()) {
      expect(example.generation, `example ${index}`).toEqual(examples[index]!.generation);
      expect(example.prompt).toEqual(examples[index]!.prompt);
      expect(example.continuations).toEqual(examples[index]!.continuations);
      expect(JSON.parse(JSON.stringify(example))).toEqual(examples[index]);
      // Nothing of it is in memory.
      expect(Object.values({ ...example }).some((value) => typeof value === 'object')).toBe(false);
    }
    const [first, second] = [kept[0]!, { ...examples[1]! }];
    for (const each of [first, second]) forgetGeneration(each);
    expect([first.generation, second.generation]).toEqual([undefined, undefined]);
    expect(JSON.parse(JSON.stringify(first))).not.toHaveProperty('generation');
    expect(first.prompt).toEqual(examples[0]!.prompt);
  }));
