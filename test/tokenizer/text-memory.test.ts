import { expect, test } from 'vitest';
import { Pipeline } from '../../src/tokenizer/pipeline.ts';
import { TextMemory } from '../../src/tokenizer/text-memory.ts';

test('what was remembered is found, and never more than is allowed', () => {
  const memory = new TextMemory<number>(3, 4);
  for (const [index, text] of ['a', 'bb', 'cccc', 'ddddd'].entries()) memory.set(text, index);
  expect(['a', 'bb', 'cccc', 'ddddd', 'e'].map((text) => memory.get(text))).toEqual([0, 1, 2, undefined, undefined]);
  memory.set('f', 5);
  expect(['a', 'bb', 'cccc', 'f'].map((text) => memory.get(text))).toEqual([undefined, undefined, undefined, 5]);
});

test('a passage at the beginning of a text is not taken for the same one elsewhere', () => {
  const sections = {
    version: '1.0',
    model: { type: 'BPE', vocab: { '▁': 0, a: 1, '▁a': 2, '<s>': 3 }, merges: [['▁', 'a']] },
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false },
    added_tokens: [{ id: 3, content: '<s>', special: true }],
  };
  const pipeline = new Pipeline(sections, 'tokenizer.json');
  const ids = (text: string) => pipeline.encode(text, { addSpecialTokens: false });
  for (let round = 0; round < 2; round++) {
    expect(ids('a<s>a')).toEqual([2, 3, 1]);
    expect(ids('<s>a')).toEqual([3, 1]);
    expect(ids('a')).toEqual([2]);
  }
});

test('nobody changes what is remembered', () => {
  const sections = { version: '1.0', model: { type: 'BPE', vocab: { a: 0 }, merges: [] } };
  const pipeline = new Pipeline(sections, 'tokenizer.json');
  pipeline.encode('a', { addSpecialTokens: false }).push(7);
  expect(pipeline.encode('a', { addSpecialTokens: false })).toEqual([0]);
});
