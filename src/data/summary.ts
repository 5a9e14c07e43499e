/**
 * The summary of a data set, to be looked at before a run.
 *
 * @module
 */

import type { Continuation, TokenizedExample } from './example.ts';
import type { DatasetFacts } from './load.ts';
import type { TokenizedDataset } from './tokenize.ts';

/** Most characters of the prompt and of an answer in the picture of an example. */
const shownCharacters = 160;
/** Most options in it. */
const shownOptions = 6;

export interface DataSummary {
  /** The format of the rows, or the task's name. */
  format: string;
  rows: number;
  examples: number;
  /** Tokens of an example's longest sequence. */
  tokens: { minimum: number; median: number; p95: number; maximum: number };
  /** Examples that were cut to fit, those that were left out, plain texts that became several examples. */
  truncated: number;
  dropped: number;
  split: number;
  /** The first example as the model reads it, with ⟦ ⟧ around what is learnt, or around the right option. */
  first: string;
}

/** @param decode the text of some ids */
export function summarize(
  { examples, rows, lengths, truncated, dropped, split }: TokenizedDataset,
  { name }: Pick<DatasetFacts, 'name'>,
  decode: (ids: number[]) => string,
): DataSummary {
  const sorted = lengths.values().slice().sort();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return {
    format: name,
    rows: differentIn(rows) + dropped,
    examples: examples.length,
    tokens: { minimum: at(0), median: at(0.5), p95: at(0.95), maximum: at(1) },
    ...{ truncated, dropped, split },
    first: examples[0] ? picture(examples[0], decode) : '',
  };
}

/** Counts the different numbers of a list in which none is smaller than the one before. */
function differentIn(numbers: Iterable<number>): number {
  let count = 0;
  let last = -1;
  for (const number of numbers) {
    if (number !== last) count++;
    last = number;
  }
  return count;
}

function picture(
  { kind, prompt, continuations, label, answerRow }: TokenizedExample,
  decode: (ids: number[]) => string,
): string {
  const before = shortened(decode(prompt.slice(0, answerRow)), 'end');
  const after = answerRow === undefined ? '' : shortened(decode(prompt.slice(answerRow + 1)), 'start');
  if (kind === 'completion') return before + learnt(continuations[0]!, decode) + after;
  const shown = continuations.slice(0, shownOptions).map((option, index) => {
    const text = shortened(decode(option.ids), 'start');
    return index === label ? `⟦${text}⟧` : text;
  });
  const others = continuations.length - shown.length;
  return `${before}${shown.join(' |')}${others > 0 ? ` | … ${others} more` : ''}${after}`;
}

/** The text of a continuation with marks around its runs of tokens that count. */
function learnt({ ids, scored, positions }: Continuation, decode: (ids: number[]) => string): string {
  const counts = new Set(positions ?? Array.from({ length: scored }, (_, index) => ids.length - scored + index));
  let text = '';
  for (let start = 0; start < ids.length; ) {
    let end = start + 1;
    while (end < ids.length && counts.has(end) === counts.has(start)) end++;
    const part = shortened(decode(ids.slice(start, end)), 'start');
    text += counts.has(start) ? `⟦${part}⟧` : part;
    start = end;
  }
  return text;
}

/** One line, with the start or the end of what is long. */
function shortened(text: string, keep: 'start' | 'end'): string {
  const characters = [...text.replaceAll('\r', '\\r').replaceAll('\n', '\\n')];
  if (characters.length <= shownCharacters) return characters.join('');
  return keep === 'start'
    ? `${characters.slice(0, shownCharacters).join('')}…`
    : `…${characters.slice(-shownCharacters).join('')}`;
}
