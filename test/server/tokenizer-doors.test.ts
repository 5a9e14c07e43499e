/** The fields of a tokenizer through the doors that take text: /v1/tokenize, completions, embeddings, training rows. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tokenizeExamples } from '../../src/data/tokenize.ts';
import { loadTokenizer } from '../../src/tokenizer/index.ts';
import { removeTemporary, tinyModel } from '../train/tiny.ts';
import { post } from './harness.ts';
import { type RealServer, startRealServer } from './real-server.ts';

/** A WordLevel tokenizer in which "fun" is a token only as a whole word, and capitals do not count. */
const tokenizer = {
  version: '1.0',
  added_tokens: [
    { id: 0, content: '<s>', special: true, normalized: false, single_word: false, lstrip: false, rstrip: false },
    { id: 7, content: 'fun', special: false, normalized: true, single_word: true, lstrip: false, rstrip: false },
  ],
  normalizer: { type: 'Lowercase' },
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
  },
  decoder: null,
  model: {
    type: 'WordLevel',
    unk_token: '[?]',
    vocab: { '<s>': 0, '[?]': 1, a: 2, funny: 3, film: 4, φως: 5, was: 6 },
  },
};

let folder: string;
let server: RealServer;

beforeAll(async () => {
  folder = tinyModel();
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  server = await startRealServer({ models: [{ id: 'words', path: folder }] });
});

afterAll(async () => {
  await server.close();
  removeTemporary();
});

const text = 'A funny film was FUN unfun';
const ids = [0, 2, 3, 4, 6, 7, 1];

test('/v1/tokenize and back', async () => {
  const answer = await post(server, '/v1/tokenize', { model: 'words', prompt: text });
  expect(await answer.json()).toMatchObject({ tokens: ids, count: ids.length });
  const back = await post(server, '/v1/detokenize', { model: 'words', tokens: ids });
  expect(await back.json()).toMatchObject({ prompt: '<s> a funny film was fun [?]' });
});

test('a final sigma is lowered letter by letter, as the reference does', async () => {
  // JavaScript's own lower case of ΦΩΣ ends in ς; letter by letter it is φωσ, which the vocabulary does not hold.
  expect('ΦΩΣ'.toLowerCase()).toBe('φως');
  const answer = await post(server, '/v1/tokenize', { model: 'words', prompt: 'ΦΩΣ φως' });
  expect(await answer.json()).toMatchObject({ tokens: [0, 1, 5] });
});

test('completions and embeddings count and echo the same tokens', async () => {
  const completion = await server.client.completions.create({
    model: 'words',
    prompt: text,
    max_tokens: 1,
    echo: true,
    logprobs: 1,
  });
  expect(completion.usage!.prompt_tokens).toBe(ids.length);
  expect(completion.choices[0]!.logprobs!.tokens!.slice(1, ids.length).join('')).toBe(' a funny film was fun [?]');
  const embedding = await server.client.embeddings.create({ model: 'words', input: text });
  expect(embedding.usage.prompt_tokens).toBe(ids.length);
});

test('training rows', async () => {
  const { examples } = tokenizeExamples(
    await loadTokenizer(folder),
    [{ prompt: 'A funny film', completion: ' was FUN unfun' }],
    { contextLength: 32 },
  );
  const [{ prompt, continuations }] = examples as [(typeof examples)[number]];
  expect([...prompt, ...continuations[0]!.ids]).toEqual(ids);
});
