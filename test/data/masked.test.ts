/** Examples for masked language models: templates of the protocol, the mask, label words of one token. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Example, loadDataset, tasks, tokenizeExamples } from '../../src/data/index.ts';
import { loadTokenizer, type Tokenizer } from '../../src/tokenizer/index.ts';
import { writeMaskedModel } from '../support/masked-model.ts';
import { withSeed } from '../support/random.ts';
import type { RandomModel } from '../support/zo/random-model.ts';

let model: RandomModel;
let tokenizer: Tokenizer;
beforeAll(async () => {
  model = await withSeed('masked examples', writeMaskedModel);
  tokenizer = await loadTokenizer(model.directory);
});
afterAll(() => model.remove());

const tokenize = (example: Example, contextLength = 64) =>
  tokenizeExamples(tokenizer, [example], { contextLength, masked: true });
const shown = (ids: readonly number[]) => ids.map((id) => tokenizer.tokenString(id));

describe('the templates of LM-BFF', () => {
  const read = (task: string, value: Record<string, unknown>) => tasks[task]!.readMasked!({ value, source: 'x:1' });

  test.each([
    ['sst2', { sentence: 'a fine film . ', label: 1 }, 'a fine film . It was<mask>.', 'great'],
    ['sst5', { text: 'a fine film .', label: 3 }, 'a fine film . It was<mask>.', 'good'],
    [
      'rte',
      { premise: 'It rained.', hypothesis: 'The day was wet.', label: 'entailment' },
      'It rained?<mask>, the day was wet.',
      'Yes',
    ],
    [
      'rte',
      { premise: 'It rained.', hypothesis: 'It was dry.', label: 'not_entailment' },
      'It rained?<mask>, it was dry.',
      'No',
    ],
    ['snli', { premise: 'Two men eat.', hypothesis: 'Men sleep.', label: 2 }, 'Two men eat?<mask>, men sleep.', 'No'],
    ['snli', { sentence1: 'Two men eat', sentence2: 'Men', gold_label: 'neutral' }, 'Two men ea?<mask>, men', 'Maybe'],
    [
      'mnli',
      { premise: 'He left.', hypothesis: 'Éric left.', label: 'entailment' },
      'He left?<mask>, éric left.',
      'Yes',
    ],
    ['trec', { text: 'Who sang it ?', label: 'HUM' }, '<mask>: Who sang it ?', 'Human'],
    ['trec', { text: 'Who sang it ?', label: 5 }, '<mask>: Who sang it ?', 'Number'],
  ])('%s %o', (task, row, prompt, answer) => {
    const [example] = read(task, row);
    expect(example!.prompt).toBe(prompt);
    expect(example!.options![example!.label!]).toBe(answer);
  });

  test('a pair without a label is passed over, one with another is named', () => {
    expect(read('snli', { sentence1: 'a.', sentence2: 'b.', gold_label: '-' })).toEqual([]);
    expect(() => read('snli', { premise: 'a.', hypothesis: 'b.', label: 'yes' })).toThrow(
      /^x:1: "label" must be one of/,
    );
    expect(() => read('trec', { text: 'a', coarse_label: 1 })).toThrow(/^x:1: no "label"/);
  });
});

test('the tokenizer frames the prompt, and the label words stand in the place of the mask', () => {
  const example = { prompt: 'a film It was<mask>.', options: ['terrible', 'great'], label: 1 };
  const { examples, truncated } = tokenize(example);
  expect(truncated).toBe(0);
  const [{ prompt, answerRow, continuations, kind, label }] = examples as [(typeof examples)[0]];
  expect(shown(prompt)).toEqual(['<s>', 'a', 'Ġfilm', 'ĠIt', 'Ġwas', '<mask>', '.', '</s>']);
  expect(prompt).toEqual(tokenizer.encode(example.prompt));
  expect({ answerRow, kind, label }).toEqual({ answerRow: 5, kind: 'options', label: 1 });
  expect(continuations.map(({ ids, scored }) => [...shown(ids), scored])).toEqual([
    ['Ġterrible', 1],
    ['Ġgreat', 1],
  ]);
});

test('rows of a file: options with or without a space, and a completion', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'subzero-test-'));
  const file = join(folder, 'rows.jsonl');
  const load = async (row: object) => {
    await writeFile(file, JSON.stringify(row));
    const { examples } = await loadDataset({ file }, { masked: true });
    return tokenize(examples[0]!).examples[0]!;
  };
  const plain = await load({ prompt: '<mask> film', options: ['terrible', 'great'], label: 'great' });
  expect(plain).toMatchObject({ kind: 'options', answerRow: 1, label: 1 });
  expect(await load({ prompt: '<mask> film', options: [' terrible', ' great'], label: 1 })).toEqual(plain);
  const completion = await load({ prompt: 'It was <mask> ', completion: 'great' });
  expect(completion).toMatchObject({ kind: 'completion', answerRow: 4 });
  expect(completion.continuations).toEqual([plain.continuations[1]]);
  await rm(folder, { recursive: true });
});

describe('a prompt that is too long', () => {
  const letters = (text: string, contextLength: number) => {
    const { examples, truncated } = tokenize({ prompt: text, options: ['great', 'terrible'], label: 0 }, contextLength);
    const { prompt, answerRow } = examples[0]!;
    expect(truncated).toBe(1);
    expect(prompt).toHaveLength(contextLength);
    expect(tokenizer.tokenString(prompt[answerRow!]!)).toBe('<mask>');
    return shown(prompt).join(' ');
  };

  test('loses its beginning, but never the mask, and then its end', () => {
    expect(letters('xyzw<mask>uv', 7)).toBe('<s> z w <mask> u v </s>');
    expect(letters('xyzw<mask>uv', 4)).toBe('<s> <mask> u </s>');
    expect(letters('<mask>xyzw', 5)).toBe('<s> <mask> x y </s>');
  });

  test('is refused where not even the mask fits', () => {
    expect(() => tokenize({ prompt: '<mask>', completion: 'great' }, 2)).toThrow(
      /context of 2 leaves no room for the mask/,
    );
  });
});

test.each<[Partial<Example>, RegExp]>([
  [{ prompt: 'no mask' }, /^x:1: the prompt has 0 masks \(<mask>\); expected one/],
  [{ prompt: '<mask> or <mask>' }, /^x:1: the prompt has 2 masks/],
  [
    { options: ['great', 'wonderful'] },
    /^x:1: the answer "wonderful" has 9 tokens \(Ġw o n .*\); one mask stands for one token/,
  ],
  [{ options: ['great', ' great '] }, /^x:1: the answers "great" and "great" are the same token/],
  [{ options: ['great', '<unk>'] }, /^x:1: the answer "<unk>" is not a word of the vocabulary/],
  [{ options: ['great', ' '] }, /^x:1: the answer is empty/],
  [{ isRendered: true }, /^x:1: a masked language model learns/],
])('refuses %o', (change, message) => {
  const example = { prompt: 'It was<mask>.', options: ['terrible', 'great'], label: 0, source: 'x:1', ...change };
  expect(() => tokenize(example)).toThrow(message);
});
