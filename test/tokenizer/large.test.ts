/**
 * Published tokenizers against the tokenizers library of PyPI (test/parity/make_tokenizers.py --large DIRECTORY). They
 * are too large to lie here: SUBZERO_TOKENIZERS names a directory with NAME/tokenizer.json.
 */

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Pipeline } from '../../src/tokenizer/pipeline.ts';
import { decode, digest, idLists, mixedTexts, sweepTexts, type Variants } from './reference-texts.ts';

const fixtures = new URL('../fixtures/tokenizers/', import.meta.url);
const variants: Variants = JSON.parse(readFileSync(new URL('variants.json', fixtures), 'utf8'));
const { texts, sweep } = variants;
const rows: {
  name: string;
  sha256: string;
  size: number;
  texts: string[];
  mixed: string;
  sweep: string;
  decode: Record<string, string>;
}[] = JSON.parse(readFileSync(new URL('large.json', fixtures), 'utf8'));

const directory = process.env.SUBZERO_TOKENIZERS ?? '';

describe.each(rows)('$name', (row) => {
  const path = join(directory, row.name, 'tokenizer.json');
  test.skipIf(directory === '' || !existsSync(path))('ids and texts', { timeout: 120_000 }, () => {
    const bytes = readFileSync(path);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(row.sha256);
    const tokenizer = new Pipeline(JSON.parse(bytes.toString('utf8')), path);
    expect(tokenizer.vocabularySize).toBe(row.size);
    const ids = (text: string) => tokenizer.encode(text, { addSpecialTokens: true });
    expect(texts.filter((text, index) => digest(ids(text)) !== row.texts[index])).toEqual([]);
    expect(digest(mixedTexts(variants).map(ids))).toBe(row.mixed);
    expect(digest(sweepTexts(sweep).map(ids))).toBe(row.sweep);
    for (const skipSpecialTokens of [false, true]) {
      const decoded = idLists(row.size, 200).map((list) =>
        decode(tokenizer, list, { skipSpecialTokens, holdsBytes: true }),
      );
      expect(digest(decoded)).toBe(row.decode[skipSpecialTokens ? 'True' : 'False']);
    }
  });
});
