import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Encoder } from '../../src/data/encoder.ts';
import { type Example, tokenizeExample, tokenizeExamples } from '../../src/data/index.ts';
import { loadTokenizer } from '../../src/tokenizer/index.ts';

/** One token per character, but `ab` and ` a` merge; id 1 is BOS where there is one. */
function toy(addsBosToken: boolean): Encoder {
  const merges: Record<string, number> = { ab: 1000, ' a': 1001 };
  return {
    addsBosToken,
    bosTokenId: addsBosToken ? 1 : undefined,
    encode: (text) => text.match(/ab| a|[\s\S]/g)?.map((piece) => merges[piece] ?? piece.charCodeAt(0)) ?? [],
  };
}

const ids = (text: string) => toy(false).encode(text);

describe('reviews-3m', async () => {
  const tokenizer = await loadTokenizer(fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url)));

  test('an SST-2 example: BOS and prompt are shared, one token per option counts', () => {
    const example = { prompt: 'a charming journey . It was', options: [' terrible', ' great'], label: 1 };
    const { tokenized, dropped } = tokenizeExample(tokenizer, example, 256);
    expect(dropped).toBe(0);
    expect(tokenized.prompt).toEqual(tokenizer.encode('a charming journey . It was'));
    expect(tokenized.prompt[0]).toBe(0);
    expect(tokenized).toMatchObject({
      kind: 'options',
      label: 1,
      continuations: [
        { ids: [3950], scored: 1 },
        { ids: [931], scored: 1 },
      ],
    });
  });

  test('prompt and continuation are the tokens of the joined text', () => {
    const example = { prompt: 'The man slept because ', completion: 'he was tired.' };
    const { tokenized } = tokenizeExample(tokenizer, example, 256);
    const [continuation] = tokenized.continuations;
    expect([...tokenized.prompt, ...continuation!.ids]).toEqual(
      tokenizer.encode('The man slept because he was tired.'),
    );
    expect(continuation!.scored).toBe(tokenizer.encode(' he was tired.', { addSpecialTokens: false }).length);
  });
});

describe('the text of a chat template', () => {
  const start = String.fromCharCode(1);
  /** As {@link toy}, with BOS written as its character. */
  const encoder = toy(true);

  test('gets no BOS in front: the template writes it, or the model was not to see one', () => {
    const example = { prompt: 'U:x A:', completion: 'cd', isRendered: true };
    expect(tokenizeExample(encoder, example, 99).tokenized.prompt).toEqual(ids('U:x A:'));
    const written = { ...example, prompt: `${start}U:x A:` };
    expect(tokenizeExample(encoder, written, 99).tokenized.prompt).toEqual([1, ...ids('U:x A:')]);
    const typed = { prompt: 'U:x A:', completion: 'cd' };
    expect(tokenizeExample(encoder, typed, 99).tokenized.prompt).toEqual([1, ...ids('U:x A:')]);
  });

  test('keeps the BOS that stands in front when the prompt is cut, and no other first token', () => {
    const example = { prompt: 'U:x A:', completion: 'cd', isRendered: true };
    expect(tokenizeExample(encoder, example, 6).tokenized.prompt).toEqual(ids('x A:'));
    const written = { ...example, prompt: `${start}U:x A:` };
    expect(tokenizeExample(encoder, written, 6).tokenized.prompt).toEqual([1, ...ids(' A:')]);
  });

  test('without a prompt, every token but the first is learnt', () => {
    const { examples } = tokenizeExamples(encoder, [{ prompt: '', completion: 'xyz', isRendered: true }], {
      contextLength: 99,
    });
    expect(examples).toMatchObject([{ prompt: ids('x'), continuations: [{ ids: ids('yz'), scored: 2 }] }]);
  });
});

describe('the boundary of prompt and answer', () => {
  test('the length of the prompt is taken without trailing spaces', () => {
    const { tokenized } = tokenizeExample(toy(true), { prompt: 'x ', options: ['a', 'cd'], label: 0 }, 99);
    expect(tokenized.prompt).toEqual([1, ...ids('x')]);
    expect(tokenized.continuations).toEqual([
      { ids: [1001], scored: 1 },
      { ids: ids(' cd'), scored: 3 },
    ]);
  });

  test('a merge across the boundary: the extra tokens go with the option and do not count', () => {
    // `a` + `bcd` gives [ab] c d, of which two count; `a` + `cd` gives a c d, of which two count.
    const { tokenized } = tokenizeExample(toy(true), { prompt: 'xa', options: ['bcd', 'cd'], label: 1 }, 99);
    expect(tokenized.prompt).toEqual([1, ...ids('x')]);
    expect(tokenized.continuations).toEqual([
      { ids: [1000, ...ids('cd')], scored: 2 },
      { ids: ids('acd'), scored: 2 },
    ]);
  });

  test('an answer that vanishes in a merge still counts one token', () => {
    const { tokenized } = tokenizeExample(toy(true), { prompt: 'xa', options: ['b', 'c'], label: 0 }, 99);
    expect(tokenized.continuations).toEqual([
      { ids: [1000], scored: 1 },
      { ids: ids('ac'), scored: 1 },
    ]);
  });

  test('the shared prefix ends at the start of the answers, however much they have in common', () => {
    const { tokenized } = tokenizeExample(toy(true), { prompt: 'p', options: ['xyz1', 'xyz2'], label: 0 }, 99);
    expect(tokenized.prompt).toEqual([1, ...ids('p')]);
    expect(tokenized.continuations.map(({ scored }) => scored)).toEqual([4, 4]);
  });

  test('without BOS and prompt, the first token is the context', () => {
    const { tokenized } = tokenizeExample(toy(false), { prompt: '', options: ['xy', 'xz'], label: 0 }, 99);
    expect(tokenized.prompt).toEqual(ids('x'));
    expect(tokenized.continuations).toEqual([
      { ids: ids('y'), scored: 1 },
      { ids: ids('z'), scored: 1 },
    ]);
  });

  test('all right options are passed on', () => {
    const example: Example = { prompt: 'p', options: ['x', 'y', 'z'], label: 0, correct: [0, 2] };
    expect(tokenizeExample(toy(true), example, 9).tokenized.correct).toEqual([0, 2]);
  });
});

describe('truncation', () => {
  test('takes from the left and keeps BOS', () => {
    const example = { prompt: '0123456789', options: ['xy', 'z'], label: 0 };
    const { tokenized, dropped } = tokenizeExample(toy(true), example, 6);
    expect(dropped).toBe(7);
    expect(tokenized.prompt).toEqual([1, ...ids('789')]);
    expect(tokenized.continuations.map(({ scored }) => scored)).toEqual([2, 1]);
  });

  test('the prompt may go to the last token that is needed', () => {
    const example = { prompt: '0123', completion: 'xyz' };
    expect(tokenizeExample(toy(true), example, 4).tokenized.prompt).toEqual([1]);
    expect(tokenizeExample(toy(false), example, 4).tokenized.prompt).toEqual(ids('3'));
    for (const tokenizer of [toy(true), toy(false)]) {
      expect(() => tokenizeExample(tokenizer, { ...example, source: 'data.jsonl:7' }, 3)).toThrow(
        /^data\.jsonl:7: the answer has 3 tokens; the model's context of 3 leaves no room/,
      );
    }
  });

  test('is counted; a long plain text becomes several examples that score each token once', () => {
    const examples: Example[] = [
      { prompt: '0123456789', completion: 'x' },
      { prompt: '0', completion: 'x' },
      { prompt: '', completion: '0123456789' },
    ];
    const withBos = tokenizeExamples(toy(true), examples, { contextLength: 5 });
    expect(withBos).toMatchObject({ truncated: 1, split: 1 });
    expect(withBos.examples.slice(2).map(({ prompt, continuations }) => [prompt, continuations[0]!.ids])).toEqual([
      [[1], ids('0123')],
      [[1], ids('4567')],
      [[1], ids('89')],
    ]);
    const withoutBos = tokenizeExamples(toy(false), examples, { contextLength: 5 });
    expect(withoutBos.examples.slice(2).map(({ prompt, continuations }) => [prompt, continuations[0]!.ids])).toEqual([
      [ids('0'), ids('1234')],
      [ids('4'), ids('5678')],
      [ids('8'), ids('9')],
    ]);
  });
});

describe('errors', () => {
  const cases: [string, Example, RegExp][] = [
    ['nothing to learn', { prompt: 'p', source: 'f:2' }, /^f:2: an example needs options/],
    ['a label out of range', { prompt: 'p', options: ['x', 'y'], label: 2 }, /label of one of them/],
    ['an empty answer', { prompt: 'p', options: ['x', ''], label: 0, source: 'f:3' }, /^f:3: the answer is empty/],
    ['one token only', { prompt: '', options: ['x', 'yz'], label: 0 }, /nothing to predict/],
    ['a text of one token', { prompt: '', completion: 'x', source: 'f:4' }, /^f:4: the text has no token to predict/],
  ];
  test.each(cases)('%s', (_name, example, message) => {
    expect(() => tokenizeExamples(toy(false), [example], { contextLength: 99 })).toThrow(message);
  });
});
