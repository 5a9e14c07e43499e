/**
 * A tokenizer.json for directories that have only the older pair vocab.json and merges.txt (GPT-2, OPT, Qwen2).
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { isRecord } from './files.ts';

/** The word splitting of the Qwen2 tokenizer: as GPT-4's, with one digit at a time. */
const qwen2Split =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** Special tokens that byte-level vocabularies have without saying so in a file. */
const knownSpecialTokens = ['<s>', '<pad>', '</s>', '<unk>', '<mask>', '<|endoftext|>'];

/**
 * Builds the byte-level BPE definition.
 *
 * @param vocabulary the parsed vocab.json: token → id
 * @param merges the text of merges.txt
 * @param config config.json and tokenizer_config.json merged; `model_type` and `tokenizer_class` choose the splitting
 * @param bosToken put in front of every text, if the tokenizer does so
 */
export function buildByteLevelTokenizer(
  vocabulary: Record<string, unknown>,
  merges: string,
  config: Record<string, unknown>,
  bosToken: string | undefined,
): Record<string, unknown> {
  const isQwen2 = config.tokenizer_class === 'Qwen2Tokenizer' || /^qwen/.test(String(config.model_type ?? ''));
  const addedTokens = new Map<string, Record<string, unknown>>();
  for (const content of knownSpecialTokens) {
    const id = vocabulary[content];
    if (typeof id === 'number') addedTokens.set(content, { id, content, special: true, normalized: false });
  }
  if (isRecord(config.added_tokens_decoder)) {
    for (const [id, token] of Object.entries(config.added_tokens_decoder)) {
      if (!isRecord(token) || typeof token.content !== 'string') continue;
      addedTokens.set(token.content, { ...token, id: Number(id) });
    }
  }
  const byteLevel = { type: 'ByteLevel', add_prefix_space: config.add_prefix_space === true, trim_offsets: true };
  const bosId = bosToken === undefined ? undefined : (addedTokens.get(bosToken)?.id ?? vocabulary[bosToken]);
  if (bosToken !== undefined && typeof bosId !== 'number') {
    throw new SubzeroError('invalid_data', `vocab.json does not hold the token "${bosToken}" that begins every text`);
  }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [...addedTokens.values()],
    normalizer: isQwen2 ? { type: 'NFC' } : null,
    pre_tokenizer: isQwen2
      ? {
          type: 'Sequence',
          pretokenizers: [
            { type: 'Split', pattern: { Regex: qwen2Split }, behavior: 'Isolated', invert: false },
            { ...byteLevel, use_regex: false },
          ],
        }
      : { ...byteLevel, use_regex: true },
    post_processor:
      bosToken === undefined
        ? null
        : {
            type: 'TemplateProcessing',
            single: [{ SpecialToken: { id: bosToken, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
            pair: [
              { SpecialToken: { id: bosToken, type_id: 0 } },
              { Sequence: { id: 'A', type_id: 0 } },
              { Sequence: { id: 'B', type_id: 1 } },
            ],
            special_tokens: { [bosToken]: { id: bosToken, ids: [bosId], tokens: [bosToken] } },
          },
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      vocab: vocabulary,
      merges: readMerges(merges),
    },
  };
}

/** The lines of merges.txt: two tokens and a space between them; the first line is a version comment. */
function readMerges(text: string): string[] {
  const merges: string[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line === '' || (index === 0 && line.startsWith('#version'))) continue;
    if (line.split(' ').length !== 2) {
      throw new SubzeroError(
        'invalid_data',
        `merges.txt:${index + 1}: expected two tokens with one space between them; got ${JSON.stringify(line.slice(0, 80))}`,
      );
    }
    merges.push(line);
  }
  return merges;
}
