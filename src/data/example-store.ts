/**
 * Tokenised examples without a limit: the first ones in memory, all others in a temporary file, from where each is read
 * when it is looked at.
 *
 * @module
 */

import { openScratchFile, type ScratchFile } from '../platform/index.ts';
import type { Continuation, Generation, TokenizedExample } from './example.ts';

/** Tokens whose examples stay in memory; they take about 8 bytes each there. */
const tokensInMemory = 8 * 1024 * 1024;

/** Words that are written to the file at once. */
const blockWords = 256 * 1024;

/** Words that are read from the file at once, since passes over all examples follow their order. */
const windowWords = 4 * 1024;

/** The binary logarithm of how many examples from the file are kept for another look. */
const recentBits = 8;

/** What becomes of the file when nobody can read its examples any more. */
const abandoned = new FinalizationRegistry<ScratchFile>((file) => file.close());

/** Collects examples one after the other. */
export class ExampleStore {
  readonly #limit: number;
  #file: ExampleFile | undefined;
  #tokens = 0;

  /** @param limit tokens that stay in memory */
  constructor(limit = tokensInMemory) {
    this.#limit = limit;
  }

  /** The example as it is to be kept: itself, or one that reads itself from the file. */
  keep(example: TokenizedExample): TokenizedExample {
    this.#tokens += tokensOf(example);
    if (this.#tokens <= this.#limit) return example;
    this.#file ??= new ExampleFile();
    return new StoredExample(this.#file, this.#file.append(example), example);
  }
}

/** Characters that take as much memory as a token. */
const charactersOfToken = 8;

/** Tokens of an example: its prompt and all continuations, and what else of it takes as much memory as tokens do. */
function tokensOf({ prompt, continuations, generation }: TokenizedExample): number {
  const tokens = continuations.reduce((sum, { ids }) => sum + ids.length, prompt.length);
  if (!generation) return tokens;
  const own = isSamePrompt(generation, prompt) ? 0 : generation.prompt.length;
  return tokens + own + Math.ceil((generation.item?.length ?? 0) / charactersOfToken);
}

/** Whether an answer is generated from what the example begins with. */
function isSamePrompt({ prompt: own }: Generation, prompt: readonly number[]): boolean {
  return own === prompt || (own.length === prompt.length && own.every((id, index) => id === prompt[index]));
}

/** Takes away what an answer would be generated from. */
export function forgetGeneration(example: TokenizedExample): void {
  if (example instanceof StoredExample) example.forgetGeneration();
  else delete example.generation;
}

/** An example in the file. Few facts are in memory; what is long is read. */
class StoredExample implements TokenizedExample {
  readonly kind: TokenizedExample['kind'];
  readonly label: number;
  readonly correct?: number[];
  readonly answerRow?: number;
  #isGenerated: boolean;
  readonly #file: ExampleFile;
  readonly #place: number;

  constructor(file: ExampleFile, place: number, { kind, label, correct, answerRow, generation }: TokenizedExample) {
    this.kind = kind;
    this.label = label;
    if (correct) this.correct = correct;
    if (answerRow !== undefined) this.answerRow = answerRow;
    this.#isGenerated = generation !== undefined;
    this.#file = file;
    this.#place = place;
  }

  get prompt(): number[] {
    return this.#file.at(this.#place).prompt;
  }

  get continuations(): Continuation[] {
    return this.#file.at(this.#place).continuations;
  }

  get generation(): Generation | undefined {
    return this.#isGenerated ? this.#file.at(this.#place).generation : undefined;
  }

  forgetGeneration(): void {
    this.#isGenerated = false;
  }

  /** What is read belongs to the example wherever it is copied to. */
  toJSON(): TokenizedExample {
    const { prompt, continuations } = this.#file.at(this.#place);
    const { generation } = this;
    return { ...this, prompt, continuations, ...(generation ? { generation } : {}) };
  }
}

type StoredTokens = Pick<TokenizedExample, 'prompt' | 'continuations' | 'generation'>;

/**
 * Examples as 32-bit words: how many words follow; tokens of the prompt; continuations; tokens of the prompt that an
 * answer is generated from, or a mark where that is the same one or there is none; bytes of what else belongs to it;
 * for each continuation its ids, how many count, and the places of those that count, or `2^32 − 1` where it is the last
 * ones; then prompt, ids and places, the prompt to generate from, and references and row as JSON.
 */
class ExampleFile {
  readonly #file = openScratchFile();
  /** The end, which is not written yet. */
  #block = new Uint32Array(blockWords);
  #blockStart = 0;
  #used = 0;
  /** What was read last, and where it stands in the file. */
  readonly #window = new Uint32Array(windowWords);
  #windowStart = 0;
  #windowEnd = 0;
  /**
   * Each example has one slot. A map would leave tables behind, which keep what they held from being collected with
   * what is young.
   */
  readonly #recent = Array<{ place: number; example: StoredTokens } | undefined>(1 << recentBits).fill(undefined);

  constructor() {
    abandoned.register(this, this.#file);
  }

  /** @returns the place of the example, in words */
  append({ prompt, continuations, generation }: StoredTokens): number {
    const { bytes, words } = packText(generation);
    const isSame = generation !== undefined && isSamePrompt(generation, prompt);
    const head = continuations.flatMap(({ ids, scored, positions }) => [
      ids.length,
      scored,
      positions ? positions.length : lastOnes,
    ]);
    const lists: ArrayLike<number>[] = [
      prompt,
      ...continuations.flatMap(({ ids, positions }) => (positions ? [ids, positions] : [ids])),
      ...(generation && !isSame ? [generation.prompt] : []),
      words,
    ];
    const length = headWords + head.length + lists.reduce((sum, list) => sum + list.length, 0);
    if (this.#used + 1 + length > this.#block.length) this.#flush(1 + length);
    const place = this.#blockStart + this.#used;
    const put = (list: ArrayLike<number>): void => {
      this.#block.set(list, this.#used);
      this.#used += list.length;
    };
    const generated = !generation ? none : isSame ? samePrompt : generation.prompt.length;
    put([length, prompt.length, continuations.length, generated, bytes]);
    put(head);
    for (const list of lists) put(list);
    return place;
  }

  /** The example at a place. Not to be changed: others see it too. */
  at(place: number): StoredTokens {
    const slot = Math.imul(place, 0x9e3779b1) >>> (32 - recentBits);
    const known = this.#recent[slot];
    if (known?.place === place) return known.example;
    const example = decode(this.#words(place));
    this.#recent[slot] = { place, example };
    return example;
  }

  #words(place: number): Uint32Array {
    if (place >= this.#blockStart) {
      const start = place - this.#blockStart;
      return this.#block.subarray(start + 1, start + 1 + this.#block[start]!);
    }
    const [length] = this.#read(place, 1);
    return this.#read(place + 1, length!);
  }

  /** Words that are in the file, for as long as no others are read. */
  #read(place: number, count: number): Uint32Array {
    if (count > windowWords) return this.#fill(new Uint32Array(count), place);
    if (place < this.#windowStart || place + count > this.#windowEnd) {
      this.#windowStart = place;
      this.#windowEnd = Math.min(place + windowWords, this.#blockStart);
      this.#fill(this.#window.subarray(0, this.#windowEnd - place), place);
    }
    const start = place - this.#windowStart;
    return this.#window.subarray(start, start + count);
  }

  #fill(words: Uint32Array, place: number): Uint32Array {
    this.#file.read(new Uint8Array(words.buffer, words.byteOffset, words.byteLength), place * words.BYTES_PER_ELEMENT);
    return words;
  }

  #flush(needed: number): void {
    const written = this.#block.subarray(0, this.#used);
    this.#file.write(
      new Uint8Array(written.buffer, 0, written.byteLength),
      this.#blockStart * written.BYTES_PER_ELEMENT,
    );
    this.#blockStart += this.#used;
    this.#used = 0;
    if (needed > this.#block.length) this.#block = new Uint32Array(needed);
  }
}

/** Words of an example before those of its continuations, without the first one. */
const headWords = 4;

const lastOnes = 0xffff_ffff;
const none = 0xffff_ffff;
const samePrompt = 0xffff_fffe;

/** References and row as UTF-8, in whole words. */
function packText(generation: Generation | undefined): { bytes: number; words: Uint32Array } {
  if (!generation) return { bytes: 0, words: new Uint32Array(0) };
  const { references, item } = generation;
  const text = new TextEncoder().encode(JSON.stringify([references, ...(item === undefined ? [] : [item])]));
  const words = new Uint32Array(Math.ceil(text.length / 4));
  new Uint8Array(words.buffer).set(text);
  return { bytes: text.length, words };
}

function unpackText(words: Uint32Array, bytes: number): Omit<Generation, 'prompt'> {
  const text = new TextDecoder().decode(new Uint8Array(words.buffer, words.byteOffset, bytes));
  const [references, item] = JSON.parse(text) as [string[], string?];
  return { references, ...(item === undefined ? {} : { item }) };
}

function decode(words: Uint32Array): StoredTokens {
  const [promptLength, count, generated, bytes] = words as unknown as [number, number, number, number];
  let at = headWords + 3 * count;
  const take = (length: number): number[] => Array.from(words.subarray(at, (at += length)));
  const prompt = take(promptLength);
  const continuations = Array.from({ length: count }, (_, index): Continuation => {
    const [length, scored, places] = words.subarray(headWords + 3 * index, headWords + 3 * (index + 1));
    const ids = take(length!);
    return { ids, scored: scored!, ...(places === lastOnes ? {} : { positions: take(places!) }) };
  });
  if (generated === none) return { prompt, continuations };
  const ownPrompt = generated === samePrompt ? prompt : take(generated);
  return { prompt, continuations, generation: { prompt: ownPrompt, ...unpackText(words.subarray(at), bytes) } };
}
