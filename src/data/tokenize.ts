/**
 * Examples to ids, by the rule of the MeZO and SubZero papers' protocol: prompt and answer are tokenised as one text,
 * and the answer's tokens are those beyond the length of the prompt tokenised alone, without trailing spaces.
 *
 * @module
 */

import { answerTokens } from './answer-score.ts';
import { checkExampleIds, type Encoder, failure } from './encoder.ts';
import type { Example, TokenizedExample } from './example.ts';
import { ExampleStore } from './example-store.ts';
import { tokenizeMasked } from './masked.ts';
import { NumberList } from './number-list.ts';
import { sequenceLength, type Truncate, tooLong, withoutEnd } from './truncation.ts';

/** A tokenised data set and what had to be cut to make it fit. */
export interface TokenizedDataset {
  examples: TokenizedExample[];
  /** How many examples lost the beginning of their prompt, or with `right` their end. */
  truncated: number;
  /** How many plain texts were longer than the context and became several examples. */
  split: number;
  /** How many examples were left out because they were too long. */
  dropped: number;
  /** For each example the number of the row that it is from; these rise. */
  rows: NumberList;
  /** For each example the tokens of its longest sequence. */
  lengths: NumberList;
}

export interface TokenizeOptions {
  /** Most tokens of a sequence, BOS included. */
  contextLength: number;
  /** Rows of the model's embedding; no limit by default. */
  vocabularySize?: number;
  /** For a masked language model, see {@link tokenizeMasked}. */
  masked?: boolean;
  /** Every example is a prompt alone. */
  prompts?: boolean;
  /** Examples without an answer are prompts alone; by default they are an error. */
  answersOptional?: boolean;
  /** What becomes of examples that are longer; `left` by default. */
  truncate?: Truncate;
}

/**
 * Tokenises all examples. A completion without a prompt (plain text) that is longer than the context becomes several
 * examples of at most the context's length; everything else is cut by {@link tokenizeExample}; other choices of
 * `truncate` do otherwise, see truncation.ts.
 */
export function tokenizeExamples(
  tokenizer: Encoder,
  examples: readonly Example[],
  options: TokenizeOptions,
): TokenizedDataset {
  const collector = new TokenizingCollector(tokenizer, options);
  for (const example of examples) collector.add(example);
  return collector.dataset;
}

/** Tokenises examples as they come, so that their texts need not be kept. */
export class TokenizingCollector {
  readonly #tokenizer: Encoder;
  readonly #options: TokenizeOptions;
  readonly #store = new ExampleStore();
  #source: string | undefined;
  #row = -1;

  /** What has come so far. */
  readonly dataset: TokenizedDataset = {
    examples: [],
    ...{ truncated: 0, split: 0, dropped: 0 },
    rows: new NumberList(),
    lengths: new NumberList(),
  };

  constructor(tokenizer: Encoder, options: TokenizeOptions) {
    this.#tokenizer = tokenizer;
    this.#options = options;
  }

  /** @throws SubzeroError `invalid_data` with the place of the example's row */
  add(example: Example): void {
    // A row can be several examples, which follow each other.
    if (example.source === undefined || example.source !== this.#source) this.#row++;
    this.#source = example.source;
    const { contextLength, truncate = 'left' } = this.#options;
    if (truncate === 'left') {
      const pieces = this.#tokenize(example, contextLength);
      for (const piece of pieces) this.#push(piece, example);
      return;
    }
    const [whole] = this.#tokenize(example, Number.POSITIVE_INFINITY) as [TokenizedExample];
    const fitting = this.#fitted(whole, example);
    if (fitting === undefined) this.dataset.dropped++;
    else this.#push(this.#withRoomForAnswer(fitting), example);
  }

  #fitted(example: TokenizedExample, { source }: Example): TokenizedExample | undefined {
    const { contextLength, truncate } = this.#options;
    const tokens = sequenceLength(example);
    if (tokens <= contextLength) return example;
    if (truncate === 'drop') return undefined;
    if (truncate === 'error') throw tooLong(source, tokens, contextLength);
    this.dataset.truncated++;
    return withoutEnd(example, contextLength, source);
  }

  #tokenize(example: Example, contextLength: number): TokenizedExample[] {
    if (this.#options.masked) {
      const { tokenized, dropped } = tokenizeMasked(this.#tokenizer, example, contextLength);
      if (dropped > 0) this.dataset.truncated++;
      return [tokenized];
    }
    const { prompts, answersOptional } = this.#options;
    if (prompts || (answersOptional && example.options === undefined && example.completion === undefined)) {
      return [tokenizePrompt(this.#tokenizer, example, this.#options.contextLength)];
    }
    if (example.spans === undefined && example.prompt === '' && example.completion !== undefined) {
      const pieces = tokenizeText(this.#tokenizer, example, contextLength);
      if (pieces.length > 1) this.dataset.split++;
      return pieces;
    }
    const { tokenized, dropped } =
      example.spans === undefined
        ? tokenizeExample(this.#tokenizer, example, contextLength)
        : tokenizeSpans(this.#tokenizer, example, example.spans, contextLength);
    if (dropped > 0) this.dataset.truncated++;
    return [tokenized];
  }

  #withRoomForAnswer(example: TokenizedExample): TokenizedExample {
    const { generation } = example;
    if (generation === undefined) return example;
    const kept = this.#tokenizer.addsBosToken && generation.prompt[0] === this.#tokenizer.bosTokenId ? 1 : 0;
    const prompt = withRoom(generation.prompt, kept, this.#options.contextLength);
    return { ...example, generation: { ...generation, prompt } };
  }

  #push(tokenized: TokenizedExample, { source }: Example): void {
    checkExampleIds(this.#tokenizer, tokenized, this.#options.vocabularySize, source);
    this.dataset.examples.push(this.#store.keep(tokenized));
    this.dataset.rows.push(this.#row);
    this.dataset.lengths.push(sequenceLength(tokenized));
  }
}

/** A prompt alone, which loses tokens from the left where it would leave too little room for an answer. */
function tokenizePrompt(tokenizer: Encoder, example: Example, contextLength: number): TokenizedExample {
  const { prompt, isRendered, item, references = [] } = example;
  const text = isRendered ? prompt : prompt.replace(/ +$/, '');
  const ids = encode(tokenizer, text, tokenizer.addsBosToken && !isRendered);
  if (ids.length === 0) throw failure(example, 'the prompt has no tokens');
  const kept = tokenizer.addsBosToken && ids[0] === tokenizer.bosTokenId ? 1 : 0;
  const fitting = withRoom(ids, kept, contextLength);
  const generation = { prompt: fitting, references, ...(item ? { item: JSON.stringify(item) } : {}) };
  return { kind: 'prompt', prompt: fitting, continuations: [], label: 0, generation };
}

/**
 * Tokenises one example. A sequence that is too long loses tokens from the left of its prompt, but not BOS.
 *
 * @returns the example and how many prompt tokens were dropped
 * @throws SubzeroError `invalid_data` with `file:line` if the answer alone is too long, or there is nothing to score
 */
export function tokenizeExample(
  tokenizer: Encoder,
  example: Example,
  contextLength: number,
): { tokenized: TokenizedExample; dropped: number } {
  const { prompt, options, completion } = example;
  const answers = options ?? (completion === undefined ? [] : [completion]);
  const label = options === undefined ? 0 : example.label;
  if (answers.length === 0 || label === undefined || answers[label] === undefined) {
    throw failure(example, 'an example needs options with the label of one of them, or a completion');
  }
  // With SentencePiece and GPT-2 vocabularies alike, a space belongs to the token after it: to the answer.
  const addsBosToken = tokenizer.addsBosToken && !example.isRendered;
  const promptIds = encode(tokenizer, prompt.replace(/ +$/, ''), addsBosToken);
  const promptLength = promptIds.length;
  const sequences = answers.map((answer) => {
    if (answer === '') throw failure(example, 'the answer is empty');
    const ids = encode(tokenizer, prompt + answer, addsBosToken);
    // If the answer's first letters merge with the prompt's last token, that token counts as the answer's.
    return { ids, start: Math.max(1, Math.min(promptLength, ids.length - 1)) };
  });
  if (sequences.some(({ ids }) => ids.length < 2)) {
    throw failure(example, 'prompt and answer make one token only: there is nothing to predict');
  }
  const shared = commonPrefixLength(
    sequences.map(({ ids }) => ids),
    Math.min(...sequences.map(({ start }) => start)),
  );

  if (example.preference && sequences.every(({ ids }) => sameIds(ids, sequences[0]!.ids))) {
    throw failure(example, 'the chosen and the rejected answer are the same tokens: there is nothing to prefer');
  }

  const kept = tokenizer.addsBosToken && sequences[0]!.ids[0] === tokenizer.bosTokenId ? 1 : 0;
  const longest = Math.max(...sequences.map(({ ids }) => ids.length));
  const dropped = Math.max(0, longest - contextLength);
  const beforeFirstScored = Math.min(...sequences.map(({ start }) => start)) - dropped;
  if (dropped > shared - kept || beforeFirstScored < 1) {
    throw failure(
      example,
      `the answer has ${Math.max(...sequences.map(({ ids, start }) => ids.length - start))} tokens; ` +
        `the model's context of ${contextLength} leaves no room for it`,
    );
  }
  const first = sequences[0]!.ids;
  return {
    dropped,
    tokenized: {
      kind: options === undefined ? 'completion' : example.preference ? 'preference' : 'options',
      prompt: [...first.slice(0, Math.min(kept, shared)), ...first.slice(kept + dropped, shared)],
      continuations: sequences.map(({ ids, start }) => ({ ids: ids.slice(shared), scored: ids.length - start })),
      label,
      ...(example.correct === undefined ? {} : { correct: example.correct }),
      ...(example.references === undefined
        ? {}
        : { generation: { prompt: withRoom(promptIds, kept, contextLength), references: example.references } }),
    },
  };
}

/**
 * A completion of which some parts are learnt. The tokens of a part are those beyond what the text before it makes
 * alone and within what the text up to its end makes: one across the beginning counts, one across the end does not. A
 * sequence that is too long loses tokens from the left, learnt ones too, but none of the last part.
 */
function tokenizeSpans(
  tokenizer: Encoder,
  example: Example,
  spans: readonly (readonly [start: number, end: number])[],
  contextLength: number,
): { tokenized: TokenizedExample; dropped: number } {
  const { prompt, completion = '' } = example;
  const addsBosToken = tokenizer.addsBosToken && !example.isRendered;
  const ids = encode(tokenizer, prompt + completion, addsBosToken);
  const tokensUpTo = (place: number): number =>
    commonPrefixLength([ids, encode(tokenizer, prompt + completion.slice(0, place), addsBosToken)], ids.length);
  const parts = spans.map(([start, end]) => [tokensUpTo(start), tokensUpTo(end)] as const);
  const kept = tokenizer.addsBosToken && ids[0] === tokenizer.bosTokenId ? 1 : 0;
  const dropped = Math.max(0, ids.length - contextLength);
  const lastStart = parts.at(-1)![0];
  if (kept + dropped >= lastStart && dropped > 0) {
    throw failure(
      example,
      `the last answer has ${ids.length - lastStart} tokens; the model's context of ${contextLength} leaves no room ` +
        `for it`,
    );
  }
  // Something must stand before the first token that is scored.
  const learnt = parts.flatMap(([start, end]) => Array.from({ length: end - start }, (_, index) => start + index));
  const remaining = learnt.filter((place) => place > kept + dropped || (dropped === 0 && place >= 1));
  if (remaining.length === 0) throw failure(example, 'no token of the answers is left to learn');
  const first = remaining[0]!;
  return {
    dropped,
    tokenized: {
      kind: 'completion',
      prompt: [...ids.slice(0, kept), ...ids.slice(kept + dropped, first)],
      continuations: [
        { ids: ids.slice(first), scored: remaining.length, positions: remaining.map((place) => place - first) },
      ],
      label: 0,
    },
  };
}

/**
 * A plain text as examples in which every token is scored once, but for the text's first one if there is no BOS to
 * predict it from. Without BOS, a piece begins with the last token of the piece before.
 */
function tokenizeText(tokenizer: Encoder, example: Example, contextLength: number): TokenizedExample[] {
  const addsBosToken = tokenizer.addsBosToken && !example.isRendered;
  const ids = encode(tokenizer, example.completion!, addsBosToken);
  if (ids.length < 2) throw failure(example, 'the text has no token to predict');
  const scoredPerPiece = contextLength - 1;
  const pieces: TokenizedExample[] = [];
  for (let start = 1; start < ids.length; start += scoredPerPiece) {
    const scored = ids.slice(start, start + scoredPerPiece);
    pieces.push({
      kind: 'completion',
      prompt: [addsBosToken ? tokenizer.bosTokenId! : ids[start - 1]!],
      continuations: [{ ids: scored, scored: scored.length }],
      label: 0,
    });
  }
  return pieces;
}

/**
 * A prompt that leaves room for an answer: it loses tokens from the left, but for the first `kept`. A context that is
 * not much longer than an answer is shared by halves.
 */
function withRoom(prompt: readonly number[], kept: number, contextLength: number): number[] {
  const most = Math.max(kept + 1, contextLength - Math.min(answerTokens, Math.floor(contextLength / 2)));
  const dropped = Math.max(0, prompt.length - most);
  return [...prompt.slice(0, kept), ...prompt.slice(kept + dropped)];
}

/** Ids with BOS in front if it is to be added, and without the tokens that some put at the end. */
function encode(tokenizer: Encoder, text: string, addsBosToken: boolean): number[] {
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  return addsBosToken && ids[0] !== tokenizer.bosTokenId ? [tokenizer.bosTokenId!, ...ids] : ids;
}

function sameIds(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id, index) => id === other[index]);
}

function commonPrefixLength(sequences: readonly number[][], limit: number): number {
  const [first, ...others] = sequences;
  let length = 0;
  while (length < limit && others.every((ids) => ids[length] === first![length])) length++;
  return length;
}
