/**
 * A tokenizer.json as the metadata that llama.cpp's converter makes of it.
 *
 * @module
 */

import { list, text, u32, type Value } from './build.ts';

interface TokenizerJson {
  model: { vocab: Record<string, number>; merges: (string | [string, string])[] };
  added_tokens: { id: number; content: string; special: boolean }[];
}

/** Types of tokens. */
export const type = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** The tokens in the order of their ids, and their types. */
export function tokensOf({ model, added_tokens: added }: TokenizerJson): { tokens: string[]; types: number[] } {
  const tokens: string[] = [];
  const types: number[] = [];
  for (const [token, id] of Object.entries(model.vocab)) {
    tokens[id] = token;
    types[id] = /^<0x[0-9A-F]{2}>$/.test(token) ? type.byte : type.normal;
  }
  for (const { id, content, special } of added) {
    tokens[id] = content;
    types[id] = special ? type.control : type.userDefined;
  }
  for (let id = 0; id < tokens.length; id++) {
    tokens[id] ??= `[PAD${id}]`;
    types[id] ??= type.unused;
  }
  return { tokens, types };
}

/** The keys of a byte-level tokenizer. */
export function byteLevelKeys(json: TokenizerJson, pre: string): [string, Value][] {
  const { tokens, types } = tokensOf(json);
  const merges = json.model.merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')));
  return [
    ['tokenizer.ggml.model', text('gpt2')],
    ['tokenizer.ggml.pre', text(pre)],
    ['tokenizer.ggml.tokens', list('text', tokens)],
    ['tokenizer.ggml.token_type', list('i32', types)],
    ['tokenizer.ggml.merges', list('text', merges)],
  ];
}

/**
 * The keys of a SentencePiece tokenizer.
 * @param scores by default those of its merges: minus the rank of the first merge that makes a token
 */
export function sentencePieceKeys(json: TokenizerJson, scores = scoresOf(json)): [string, Value][] {
  const { tokens, types } = tokensOf(json);
  return [
    ['tokenizer.ggml.model', text('llama')],
    ['tokenizer.ggml.pre', text('default')],
    ['tokenizer.ggml.tokens', list('text', tokens)],
    ['tokenizer.ggml.scores', list('f32', scores)],
    ['tokenizer.ggml.token_type', list('i32', types)],
    ['tokenizer.ggml.unknown_token_id', u32(0)],
  ];
}

function scoresOf({ model }: TokenizerJson): number[] {
  const scores: number[] = Array(Object.keys(model.vocab).length).fill(0);
  for (const [rank, merge] of model.merges.entries()) {
    const id = model.vocab[typeof merge === 'string' ? merge.split(' ').join('') : merge.join('')]!;
    if (scores[id] === 0) scores[id] = -rank - 1;
  }
  return scores;
}
