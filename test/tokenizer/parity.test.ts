/**
 * Ids and texts against the tokenizers library of PyPI: every field of tokenizer.json in small tokenizers
 * (test/parity/make_tokenizers.py), over texts of many scripts, random ones, and a sweep over Unicode.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Pipeline } from '../../src/tokenizer/pipeline.ts';
import { decode, digest, idLists, mixedTexts, sweepTexts, type Variants } from './reference-texts.ts';

const reference: Variants = JSON.parse(
  readFileSync(new URL('../fixtures/tokenizers/variants.json', import.meta.url), 'utf8'),
);
const fuzz = mixedTexts(reference.alphabet);
const sweep = sweepTexts(reference.sweep);

function pipelineOf(sections: Record<string, unknown>): Pipeline {
  const model = reference.models[(sections.model as string | undefined) ?? 'reveal'];
  return new Pipeline(structuredClone({ version: '1.0', ...sections, model }), 'tokenizer.json');
}

describe('encodes as the reference', () => {
  test.each(reference.encode)('$name', ({ sections, texts, mixed, sweep: swept }) => {
    const pipeline = pipelineOf(sections);
    const ids = (text: string) => pipeline.encode(text, { addSpecialTokens: true });
    const different = reference.texts.filter((text, index) => digest(ids(text)) !== texts[index]);
    expect(different).toEqual([]);
    expect(digest(fuzz.map(ids))).toBe(mixed);
    if (swept !== undefined) expect(digest(sweep.map(ids))).toBe(swept);
  });
});

describe('decodes as the reference', () => {
  test.each(reference.decode)('$name', ({ sections, size, texts }) => {
    const pipeline = pipelineOf(sections);
    expect(pipeline.vocabularySize).toBe(size);
    for (const skipSpecialTokens of [false, true]) {
      const lists = idLists(size, 40);
      const expected = texts[skipSpecialTokens ? 'True' : 'False']!;
      expect(lists.map((ids) => decode(pipeline, ids, { skipSpecialTokens, holdsBytes: true }))).toEqual(expected);
      // As a stream the text is the same, but for bytes that are no character.
      for (const [index, ids] of lists.entries()) {
        if (expected[index]!.includes('\uFFFD')) continue;
        expect(decode(pipeline, ids, { skipSpecialTokens })).toBe(expected[index]);
      }
    }
  });
});
