/**
 * Tokenised examples without a limit: the first ones in memory, all others in a temporary file, from where each is read
 * when it is looked at.
 *
 * @module
 */

import { openScratchFile, type ScratchFile } from '../platform/index.ts';
import type { Continuation, TokenizedExample } from './example.ts';

/** Tokens whose examples stay in memory; they take about 8 bytes each there. */
const tokensInMemory = 32 * 1024 * 1024;

/** Words that are written to the file at once. */
const blockWords = 256 * 1024;

/** Examples from the file that are kept for another look. */
const recentExamples = 256;

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

/** Tokens of an example: its prompt and all continuations. */
function tokensOf({ prompt, continuations }: TokenizedExample): number {
  return continuations.reduce((sum, { ids }) => sum + ids.length, prompt.length);
}

/** An example in the file. Few facts are in memory; what is long is read. */
class StoredExample implements TokenizedExample {
  readonly kind: TokenizedExample['kind'];
  readonly label: number;
  readonly correct?: number[];
  readonly answerRow?: number;
  generation?: NonNullable<TokenizedExample['generation']>;
  readonly #file: ExampleFile;
  readonly #place: number;

  constructor(file: ExampleFile, place: number, { kind, label, correct, answerRow, generation }: TokenizedExample) {
    this.kind = kind;
    this.label = label;
    if (correct) this.correct = correct;
    if (answerRow !== undefined) this.answerRow = answerRow;
    if (generation) this.generation = generation;
    this.#file = file;
    this.#place = place;
  }

  get prompt(): number[] {
    return this.#file.at(this.#place).prompt;
  }

  get continuations(): Continuation[] {
    return this.#file.at(this.#place).continuations;
  }

  /** What is read belongs to the example wherever it is copied to. */
  toJSON(): TokenizedExample {
    return { ...this, ...this.#file.at(this.#place) };
  }
}

type StoredTokens = Pick<TokenizedExample, 'prompt' | 'continuations'>;

/**
 * Examples as 32-bit words: how many words follow; tokens of the prompt; continuations; for each its ids, how many
 * count, and the places of those that count, or `2^32 − 1` where it is the last ones; then prompt, ids and places.
 */
class ExampleFile {
  readonly #file = openScratchFile();
  /** The end, which is not written yet. */
  #block = new Uint32Array(blockWords);
  #blockStart = 0;
  #used = 0;
  readonly #recent = new Map<number, StoredTokens>();

  constructor() {
    abandoned.register(this, this.#file);
  }

  /** @returns the place of the example, in words */
  append({ prompt, continuations }: StoredTokens): number {
    const head = continuations.flatMap(({ ids, scored, positions }) => [
      ids.length,
      scored,
      positions ? positions.length : lastOnes,
    ]);
    const lists = [prompt, ...continuations.flatMap(({ ids, positions }) => (positions ? [ids, positions] : [ids]))];
    const length = 2 + head.length + lists.reduce((sum, list) => sum + list.length, 0);
    if (this.#used + 1 + length > this.#block.length) this.#flush(1 + length);
    const place = this.#blockStart + this.#used;
    const put = (list: ArrayLike<number>): void => {
      this.#block.set(list, this.#used);
      this.#used += list.length;
    };
    put([length, prompt.length, continuations.length]);
    put(head);
    for (const list of lists) put(list);
    return place;
  }

  /** The example at a place. Not to be changed: others see it too. */
  at(place: number): StoredTokens {
    const known = this.#recent.get(place);
    if (known) return known;
    const example = decode(this.#words(place));
    for (const oldest of this.#recent.keys()) {
      if (this.#recent.size < recentExamples) break;
      this.#recent.delete(oldest);
    }
    this.#recent.set(place, example);
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

  #read(place: number, count: number): Uint32Array {
    const words = new Uint32Array(count);
    this.#file.read(new Uint8Array(words.buffer), place * words.BYTES_PER_ELEMENT);
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

const lastOnes = 0xffff_ffff;

function decode(words: Uint32Array): StoredTokens {
  const count = words[1]!;
  let at = 2 + 3 * count;
  const take = (length: number): number[] => Array.from(words.subarray(at, (at += length)));
  const prompt = take(words[0]!);
  const continuations = Array.from({ length: count }, (_, index): Continuation => {
    const [length, scored, places] = words.subarray(2 + 3 * index, 5 + 3 * index);
    const ids = take(length!);
    return { ids, scored: scored!, ...(places === lastOnes ? {} : { positions: take(places!) }) };
  });
  return { prompt, continuations };
}
