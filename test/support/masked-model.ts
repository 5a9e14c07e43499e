/**
 * A small RoBERTa with random weights and a byte-level tokenizer in which some words are one token, as a model folder.
 *
 * @module
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Random } from './random.ts';
import { type RandomModel, writeRandomModel } from './zo/random-model.ts';

/** Words that are one token, with the space in front of them. */
const words = ['great', 'terrible', 'It', 'was', 'Yes', 'No', 'Maybe', 'the', 'film', 'a', 'and'];

const special = ['<s>', '<pad>', '</s>', '<unk>'];

/** The characters that stand for bytes in byte-level vocabularies. */
const bytes = Array.from({ length: 256 }, (_, byte) => {
  const isShown = (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  return isShown ? byte : -1;
});

function byteCharacters(): string[] {
  let next = 256;
  return bytes.map((byte) => String.fromCharCode(byte >= 0 ? byte : next++));
}

/** tokenizer.json of RoBERTa's form: special tokens first, the mask last. */
function tokenizer(): { json: object; size: number } {
  const tokens = [...special, ...byteCharacters()];
  const merges: string[] = [];
  for (const word of words) {
    let start = 'Ġ';
    for (const letter of word) {
      const merge = `${start} ${letter}`;
      if (!merges.includes(merge)) {
        merges.push(merge);
        tokens.push(start + letter);
      }
      start += letter;
    }
  }
  tokens.push('<mask>');
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const added = [...special, '<mask>'].map((content) => {
    const isMask = content === '<mask>';
    const flags = { single_word: false, lstrip: isMask, rstrip: false, normalized: !isMask, special: true };
    return { id: vocab[content], content, ...flags };
  });
  const json = {
    ...{ version: '1.0', truncation: null, padding: null, added_tokens: added, normalizer: null },
    pre_tokenizer: byteLevel,
    post_processor: {
      ...{ type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 0] },
      ...{ trim_offsets: true, add_prefix_space: false },
    },
    decoder: byteLevel,
    model: { type: 'BPE', dropout: null, unk_token: null, vocab, merges },
  };
  return { json, size: tokens.length };
}

/** Texts of at most so many tokens. */
export const maskedContext = 250;

export async function writeMaskedModel(random: Random): Promise<RandomModel> {
  const { json, size } = tokenizer();
  const model = await writeRandomModel(random, {
    model_type: 'roberta',
    architectures: ['RobertaForMaskedLM'],
    vocab_size: size,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    head_dim: 16,
    intermediate_size: 64,
    max_position_embeddings: maskedContext + 2,
    type_vocab_size: 1,
    layer_norm_eps: 1e-5,
    tie_word_embeddings: true,
  });
  await writeFile(join(model.directory, 'tokenizer.json'), JSON.stringify(json));
  await writeFile(
    join(model.directory, 'tokenizer_config.json'),
    JSON.stringify({ tokenizer_class: 'RobertaTokenizer' }),
  );
  return model;
}
