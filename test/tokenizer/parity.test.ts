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
const fuzz = mixedTexts(reference);
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

describe('encodes as the reference with stages at random', () => {
  const sectionsOf = new Map(reference.encode.map(({ name, sections }) => [name, sections]));
  test.each(reference.combinations.map((combination, index) => [index, combination] as const))('%i', (_index, row) => {
    const named = (names: readonly string[], section: string) => names.map((name) => sectionsOf.get(name)![section]);
    const pipeline = pipelineOf({
      model: sectionsOf.get(row.model)!.model,
      added_tokens: row.added_tokens,
      normalizer: { type: 'Sequence', normalizers: named(row.normalizers, 'normalizer') },
      pre_tokenizer: { type: 'Sequence', pretokenizers: named(row.pre_tokenizers, 'pre_tokenizer') },
    });
    const texts = fuzz.filter((_, index) => !row.panics.includes(index));
    expect(digest(texts.map((text) => pipeline.encode(text, { addSpecialTokens: true })))).toBe(row.ids);
  });
});

describe('decodes as the reference', () => {
  test.each(reference.decode)('$name', ({ sections, size, texts }) => {
    const pipeline = pipelineOf(sections);
    expect(pipeline.vocabularySize).toBe(size);
    for (const skipSpecialTokens of [false, true]) {
      const lists = idLists(size, 40);
      const whole = lists.map((ids) => decode(pipeline, ids, { skipSpecialTokens, holdsBytes: true }));
      expect(digest(whole)).toBe(texts[skipSpecialTokens ? 'True' : 'False']);
      // As a stream the text is the same, but for bytes that are no character.
      for (const [index, ids] of lists.entries()) {
        if (!whole[index]!.includes('\uFFFD')) expect(decode(pipeline, ids, { skipSpecialTokens })).toBe(whole[index]);
      }
    }
  });
});
