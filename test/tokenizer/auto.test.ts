/**
 * Whole model folders against transformers' AutoTokenizer: keys of tokenizer_config.json and special_tokens_map.json,
 * tokenizer classes and model types (test/parity/make_auto_tokenizers.py).
 */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadTokenizer } from '../../src/tokenizer/index.ts';
import { withFiles } from './definitions.ts';
import { digest } from './reference-texts.ts';

type Json = Record<string, unknown>;

interface Row {
  name: string;
  base: string;
  /** Changes to tokenizer.json; `null` for vocab.json and merges.txt. */
  changes: Json | null;
  files: Record<string, Json>;
  error?: string;
  bare: string[];
  framed: number[];
  decoded: string;
  size: number;
}

const reference: {
  texts: string[];
  bases: Record<string, Json>;
  vocabulary: Record<string, string | Json>;
  rows: Row[];
} = JSON.parse(readFileSync(new URL('../fixtures/tokenizers/auto.json', import.meta.url), 'utf8'));

/**
 * Where a normaliser changes what a special token is written as, the reference looks for the changed text among the
 * special tokens, and does not skip it. Here, what is special is skipped.
 */
const skippedByText = ['decoder normalized PreTrainedTokenizerFast'];

test.each(reference.rows.filter(({ error }) => error === undefined))('$name', async (row) => {
  const files =
    row.changes === null
      ? { ...reference.vocabulary, ...row.files }
      : { 'tokenizer.json': { ...reference.bases[row.base], ...row.changes }, ...row.files };
  await withFiles(files, async (directory) => {
    const tokenizer = await loadTokenizer(directory);
    const bare = reference.texts.map((text) => tokenizer.encode(text, { addSpecialTokens: false }));
    expect(reference.texts.filter((_, index) => digest(bare[index]) !== row.bare[index])).toEqual([]);
    expect(tokenizer.encode(reference.texts[0]!)).toEqual(row.framed);
    expect(tokenizer.vocabularySize).toBe(row.size);
    if (skippedByText.includes(row.name)) return;
    expect(digest(bare.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: true })))).toBe(row.decoded);
  });
});
