/**
 * Text to token ids and back, streaming decoding and chat templates.
 *
 * @module
 */

export type { DecodeStream } from './decode-stream.ts';
export { loadTokenizer } from './load.ts';
export type { TokenStream } from './token-stream.ts';
export { Tokenizer, type TokenizerDefinition } from './tokenizer.ts';
