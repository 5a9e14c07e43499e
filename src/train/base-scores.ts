/**
 * What the base model of a run says of its examples: the log-probability of each label token, without probe and change.
 * It is asked once, before the weights move, and remembered in the run folder: later the base may be gone from memory,
 * and a resumed run asks nothing.
 *
 * Scores are found by the tokens of an example, so they serve training and validation data alike, whatever is drawn or
 * held out, and those of a fork.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { readJsonLines } from '../data/lines.ts';
import { SubzeroError } from '../errors.ts';
import { exampleRows } from '../model/batch.ts';
import type { Model } from '../model/model.ts';
import type { ExampleScore } from '../objectives/loss.ts';
import { createHash, join, open, rename } from '../platform/index.ts';
import { diskError, syncDirectoryOf, writeFully } from '../safetensors/disk.ts';
import type { TrainEvent } from './events.ts';
import { runFiles } from './run-folder.ts';
import type { Scorer } from './score.ts';

/** Examples scored between two looks at the signal. */
const examplesAtOnce = 64;

/** Rows of a pass where no memory is planned yet. */
const rowsAtOnce = 1024;

/** Time between two messages of how far it has come. */
const secondsBetweenMessages = 10;

/** The weights that are asked. Another storage type rounds them otherwise. */
export interface BaseIdentity {
  fingerprint: string;
  storage: string;
}

/** A line of the file; its tokens by continuation. */
interface StoredScore {
  example: string;
  tokens: number[][];
}

export class BaseScores {
  readonly #file: string | undefined;
  readonly #base: BaseIdentity;
  /** By the tokens of an example, see {@link keyOf}. */
  readonly #scores = new Map<string, ExampleScore>();
  readonly #keys = new WeakMap<TokenizedExample, string>();
  /** Examples without virtual tokens, which the base does not see, by those that begin with some. */
  readonly #originals = new WeakMap<TokenizedExample, TokenizedExample>();

  /** @param file where they are kept; nowhere if left out */
  constructor(base: BaseIdentity, file?: string) {
    this.#base = base;
    this.#file = file;
  }

  /** Those that a run folder holds; none where its file is missing, damaged or of another base. */
  static async open(folder: string, base: BaseIdentity): Promise<BaseScores> {
    const file = join(folder, runFiles.baseScores);
    const scores = new BaseScores(base, file);
    try {
      await scores.#read(file);
    } catch (error) {
      if (!(error instanceof SubzeroError)) throw error;
      scores.#scores.clear();
    }
    return scores;
  }

  async #read(file: string): Promise<void> {
    let isHeader = true;
    for await (const { value } of readJsonLines(file)) {
      if (isHeader && (value.fingerprint !== this.#base.fingerprint || value.storage !== this.#base.storage)) return;
      if (!isHeader) {
        const { example, tokens } = value as unknown as StoredScore;
        this.#scores.set(example, scoreOf(tokens));
      }
      isHeader = false;
    }
  }

  /** Those of the examples that the base has not been asked about, each once. */
  missing(examples: Iterable<TokenizedExample>): TokenizedExample[] {
    const missing = new Map<string, TokenizedExample>();
    for (const example of examples) {
      const key = this.#keyOf(example);
      if (!this.#scores.has(key)) missing.set(key, example);
    }
    return [...missing.values()];
  }

  /**
   * Asks the base about what is missing, and remembers it. Where the signal is aborted, what is known so far.
   * @param model with the base's weights, whatever trains beside them
   * @throws SubzeroError `invalid_data` if the base has no number for an example
   */
  async *ask(
    { model, scorer }: { model: Model; scorer: Scorer },
    examples: Iterable<TokenizedExample>,
    signal?: AbortSignal,
  ): AsyncGenerator<TrainEvent> {
    const missing = this.missing(examples);
    if (missing.length === 0) return;
    const tell = (done: number): TrainEvent => ({
      ...{ type: 'message', level: 'info' },
      message: `log-probabilities of the base: ${done} of ${missing.length} examples`,
    });
    yield tell(0);
    let told = performance.now();
    const maxRows = missing.reduce((most, example) => Math.max(most, exampleRows(example)), rowsAtOnce);
    for (let start = 0; start < missing.length && !signal?.aborted; start += examplesAtOnce) {
      const part = missing.slice(start, start + examplesAtOnce);
      const [scores] = await scorer.score(part, model.plainProbes, maxRows);
      for (const [index, score] of scores!.entries()) {
        if (score.logprobs.every(Number.isFinite)) this.#scores.set(this.#keyOf(part[index]!), score);
        else throw new SubzeroError('invalid_data', 'the base model gives an example a probability that is no number');
      }
      if (performance.now() - told < 1000 * secondsBetweenMessages) continue;
      told = performance.now();
      yield tell(Math.min(missing.length, start + examplesAtOnce));
    }
    await this.#write();
  }

  /** Says which examples with virtual tokens are which. @param shown of the same order and number */
  show(examples: readonly TokenizedExample[], shown: readonly TokenizedExample[]): void {
    for (const [index, example] of shown.entries()) {
      const original = examples[index]!;
      if (example !== original) this.#originals.set(example, original);
    }
  }

  /** What the base says of an example; it must have been asked. */
  of(example: TokenizedExample): ExampleScore {
    const score = this.#scores.get(this.#keyOf(this.#originals.get(example) ?? example));
    if (!score) throw new Error('the base has not been asked about an example');
    return score;
  }

  #keyOf(example: TokenizedExample): string {
    let key = this.#keys.get(example);
    if (key === undefined) {
      key = keyOf(example);
      this.#keys.set(example, key);
    }
    return key;
  }

  /** A crash leaves the old file or the new one. */
  async #write(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    const partial = `${file}.partial`;
    try {
      const handle = await open(partial, 'w');
      try {
        let position = 0;
        const write = async (line: object): Promise<void> => {
          const bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
          await writeFully(handle, partial, position, bytes);
          position += bytes.length;
        };
        await write(this.#base);
        for (const [example, { tokens }] of this.#scores) await write({ example, tokens });
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(partial, file);
    } catch (error) {
      throw diskError(error, file, 'write');
    }
    await syncDirectoryOf(file);
  }
}

/** Tells examples apart by their tokens, and by which of them are scored. */
function keyOf({ prompt, continuations, answerRow }: TokenizedExample): string {
  const parts = continuations.map(({ ids, scored, positions }) => [ids, scored, positions ?? null]);
  return createHash('sha256')
    .update(JSON.stringify([prompt, parts, answerRow ?? null]))
    .digest('hex');
}

function scoreOf(tokens: number[][]): ExampleScore {
  return {
    logprobs: tokens.map((values) => values.reduce((sum, value) => sum + value, 0)),
    counts: tokens.map(({ length }) => length),
    tokens,
  };
}
