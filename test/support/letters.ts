/**
 * A tokenizer of 48 letters, from A to p, whose sections GGUF files have a name for.
 *
 * @module
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Its tokenizer.json. */
export const letters = {
  version: '1.0',
  ...{ truncation: null, padding: null, added_tokens: [], normalizer: null, post_processor: null },
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  decoder: { type: 'ByteLevel' },
  model: {
    type: 'BPE',
    vocab: Object.fromEntries(Array.from({ length: 48 }, (_, id) => [String.fromCharCode(65 + id), id])),
    merges: [],
  },
};

/** Writes it into a model's folder. @param sections what it has in place of its own */
export function writeLetters(folder: string, sections: object = {}): void {
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify({ ...letters, ...sections }));
  // No class that would put sections of its own in their place.
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast' }));
}
