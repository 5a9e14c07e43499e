/**
 * The rows of a pass: what it reads of each text, probe by probe.
 *
 * @module
 */

import type { CacheRun } from '../model/cache.ts';
import type { RowRun } from '../model/runs.ts';
import type { TextModel } from './row-adapters.ts';

/** What a pass asks of a text. */
export interface PassText {
  /** Virtual tokens, the prompt, and what has been generated. */
  tokens: readonly number[];
  /** Number of virtual tokens before the prompt. */
  leading: number;
  promptLength: number;
  /** Number of tokens whose keys and values are in the cache; a pass that reads more of them raises it. */
  done: number;
  run: CacheRun;
  /** The first tokens where others have them too: their rows and state are not in the text's own run. */
  start?: { run: CacheRun; length: number };
  model: TextModel;
}

/** A token of a prompt that a row of a pass predicts. */
export interface Predicted<T> {
  sequence: T;
  /** Index among all tokens of the sequence. */
  position: number;
}

/** The arrays of a pass as `ForwardInput` has them, and what becomes of its label rows. */
export interface PackedRows<T> {
  ids: number[];
  positions: number[];
  /** Tokens of the shortest and the longest sequence that a row belongs to. */
  lengths: number[];
  slots: number[];
  ranges: number[];
  windowRanges: number[];
  runs: RowRun[];
  models: TextModel[];
  /** Rows of a probe. */
  rows: number;
  /** Numbers of rows within their probe; every probe has the same number of them. */
  labelRows: number[];
  /** The texts whose next tokens the first label rows of each probe give; undefined for rows that nobody asked for. */
  sampled: (T | undefined)[];
  /** What the label rows behind these predict; there are none where there are several probes. */
  predicted: Predicted<T>[];
}

/** Collects the rows that texts of one probe have in a pass. */
export class ProbeRows<T extends PassText> {
  readonly #window: number | undefined;
  /** Rows that are left of those that the pass allows. */
  left: number;
  /** Texts whose next token the pass may still give. */
  #labelsLeft: number;
  readonly ids: number[] = [];
  readonly positions: number[] = [];
  readonly lengths: number[] = [];
  readonly slots: number[] = [];
  readonly ranges: number[] = [];
  readonly windowRanges: number[] = [];
  readonly runs: RowRun[] = [];
  readonly models: TextModel[] = [];
  readonly sampledRows: number[] = [];
  readonly sampled: (T | undefined)[] = [];
  readonly predictedRows: number[] = [];
  readonly predicted: Predicted<T>[] = [];

  /**
   * @param labels most texts whose next token the pass gives, at least one
   * @param window the positions that layers with a sliding window see, if there are such
   */
  constructor(left: number, labels: number, window: number | undefined) {
    this.left = left;
    this.#labelsLeft = labels;
    this.#window = window;
  }

  /**
   * Reads the next tokens of a text; all but the last one where the pass cannot give what follows that.
   * @param scored whether the tokens of its prompt are to be predicted, too
   * @returns how many it has read
   */
  read(text: T, most: number, scored: boolean): number {
    const count = this.#labelsLeft > 0 ? most : Math.min(most, text.tokens.length - text.done - 1);
    if (count <= 0) return 0;
    const promptEnd = text.leading + text.promptLength;
    for (let i = 0; scored && i < count; i++) {
      const position = text.done + i;
      if (position < text.leading || position + 1 >= promptEnd) continue;
      this.predictedRows.push(this.ids.length + i);
      this.predicted.push({ sequence: text, position: position + 1 });
    }
    this.walk(text, count);
    if (text.done < text.tokens.length) return count;
    this.sampledRows.push(this.ids.length - 1);
    this.sampled.push(text);
    this.#labelsLeft--;
    return count;
  }

  /** Reads the next tokens of a text of which nothing is predicted. */
  walk(text: PassText, count: number): void {
    const { run, done } = text;
    const { run: front, length: shared } = text.start ?? noStart;
    // The slot that the first token would have.
    const origin = run.start - shared;
    const promptEnd = text.leading + text.promptLength;
    const start = this.ids.length;
    const earlier = done === 0 ? {} : { from: done === shared ? front.state : run.state };
    this.runs.push({ start, end: start + count, state: run.state, ...earlier });
    for (let position = done; position < done + count; position++) {
      this.ids.push(text.tokens[position]!);
      this.models.push(text.model);
      this.positions.push(position);
      // The prompt is read as one text. Each token of the answer ends a text that is one token longer.
      const length = Math.max(promptEnd, position + 1);
      this.lengths.push(length, length);
      this.slots.push(origin + position);
      this.ranges.push(front.start, front.start + shared, run.start, origin + position + 1);
      if (this.#window === undefined) continue;
      const seen = Math.max(0, position - this.#window + 1);
      this.windowRanges.push(
        ...[front.start + Math.min(seen, shared), front.start + shared],
        ...[origin + Math.max(seen, shared), origin + position + 1],
      );
    }
    text.done += count;
  }

  /**
   * Adds rows that see nothing and label rows that nobody asks for, as far as others have more.
   * @param spare where such rows keep what nobody reads; only needed where rows are added
   */
  pad(rows: number, labels: number, spare: CacheRun | undefined): void {
    const missing = rows - this.ids.length;
    if (missing > 0) {
      if (!spare) throw new Error('the cache has no spare rows');
      // One run, as of a text that begins: the state that it leaves is never continued.
      this.runs.push({ start: this.ids.length, end: rows, state: spare.state });
      for (let i = 0; i < missing; i++) {
        this.ids.push(0);
        this.models.push(noModel);
        this.positions.push(0);
        this.lengths.push(1, 1);
        this.slots.push(spare.start);
        this.ranges.push(0, 0, 0, 0);
        if (this.#window !== undefined) this.windowRanges.push(0, 0, 0, 0);
      }
    }
    while (this.sampledRows.length + this.predictedRows.length < labels) {
      this.sampledRows.push(rows - 1);
      this.sampled.push(undefined);
    }
  }
}

const noStart = { run: { start: 0, length: 0, state: 0 }, length: 0 };

const noModel: TextModel = { adapters: [], users: [] };

/**
 * Puts the rows of all probes one behind the other, as many of each.
 * @param spare see {@link ProbeRows.pad}
 */
export function packRows<T extends PassText>(probes: readonly ProbeRows<T>[], spare?: CacheRun): PackedRows<T> {
  const rows = Math.max(...probes.map(({ ids }) => ids.length));
  const counts = probes.map(({ sampled, predicted }) => sampled.length + predicted.length);
  // A pass with only a piece of a prompt still needs a label row, which is not read.
  const labels = Math.max(1, ...counts);
  for (const probe of probes) probe.pad(rows, labels, spare);
  const all = <K extends Exclude<keyof PackedRows<T>, 'rows' | 'runs' | 'labelRows'>>(name: K): PackedRows<T>[K] =>
    probes.flatMap((probe) => probe[name] as unknown[]) as PackedRows<T>[K];
  return {
    ...{ ids: all('ids'), positions: all('positions'), lengths: all('lengths'), slots: all('slots') },
    ...{ ranges: all('ranges'), windowRanges: all('windowRanges'), models: all('models') },
    runs: probes.flatMap(({ runs }, probe) =>
      runs.map((run) => ({ ...run, start: probe * rows + run.start, end: probe * rows + run.end })),
    ),
    rows,
    labelRows: probes.flatMap(({ sampledRows, predictedRows }) => [...sampledRows, ...predictedRows]),
    ...{ sampled: all('sampled'), predicted: all('predicted') },
  };
}
