/**
 * Byte-pair encoding (Sennrich, Haddow and Birch 2016), with the options of tokenizer.json.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { MergeTable } from './merge-table.ts';
import type { Model } from './model.ts';
import { brief, type Section } from './section.ts';
import { readVocabulary, type Vocabulary } from './vocabulary.ts';

/** What SentencePiece writes for a space: it begins a word, and few vocabularies join it to what stands before. */
const wordMark = '\u2581';

/** Symbols of a word up to which a look at all pairs is quicker than a heap. */
const fewSymbols = 64;

const encoder = new TextEncoder();

/** Compiles a `model` section of type BPE. */
export function compileBpe(section: Section): Model {
  const vocabulary = readVocabulary(section);
  const { ids } = vocabulary;
  const prefix = section.optionalText('continuing_subword_prefix') ?? '';
  const suffix = section.optionalText('end_of_word_suffix') ?? '';
  const unknownToken = section.optionalText('unk_token');
  const fuseUnknown = section.raw('fuse_unk') == null ? false : section.flag('fuse_unk');
  const byteFallback = section.raw('byte_fallback') == null ? false : section.flag('byte_fallback');
  const ignoreMerges = section.raw('ignore_merges') == null ? false : section.flag('ignore_merges');
  const dropout = section.raw('dropout');
  if (dropout != null && dropout !== 0) {
    throw section.error(
      'unsupported',
      `"dropout" is ${brief(dropout)}: it would encode a text otherwise every time; expected null or 0`,
    );
  }
  const { merges, joinsMarks } = readMerges(section, vocabulary, prefix);
  const byteIds = byteFallback ? Array.from({ length: 256 }, (_, byte) => ids.get(byteToken(byte))) : [];

  /** The id of the unknown-token. */
  const unknown = (): number => {
    const id = ids.get(unknownToken!);
    if (id === undefined) throw missingUnknown(unknownToken!);
    return id;
  };

  /** The word's characters as ids, before any merge. */
  const characters = (word: string): number[] => {
    const symbols: number[] = [];
    let pending: number | undefined;
    const flush = () => {
      if (pending !== undefined) symbols.push(pending);
      pending = undefined;
    };
    let start = 0;
    for (const character of word) {
      const end = start + character.length;
      const text = (start > 0 ? prefix : '') + character + (end === word.length ? suffix : '');
      start = end;
      const id = ids.get(text);
      if (id !== undefined) {
        flush();
        symbols.push(id);
        continue;
      }
      if (byteFallback) {
        const bytes = Array.from(encoder.encode(text), (byte) => byteIds[byte]);
        if (bytes.every((byte) => byte !== undefined)) {
          // An unknown character before these bytes stays pending: the reference puts it behind them.
          symbols.push(...bytes);
          continue;
        }
      }
      // Without an unknown-token, what the vocabulary lacks leaves no trace.
      if (unknownToken === undefined) continue;
      if (!fuseUnknown) flush();
      pending ??= unknown();
    }
    flush();
    return symbols;
  };

  // Each of these makes a part of a word something else than the same text alone.
  const isAlikeEverywhere = prefix === '' && suffix === '' && !ignoreMerges;
  const cutsAtMarks = isAlikeEverywhere && !joinsMarks && ids.has(wordMark) && !unknownToken?.startsWith(wordMark);
  return {
    vocabulary,
    ...(cutsAtMarks ? { parts: cutAtMarks } : {}),
    encode(word) {
      const id = ignoreMerges ? ids.get(word) : undefined;
      return id === undefined ? mergeAll(characters(word), merges) : [id];
    },
  };
}

/** The vocabulary entry of a byte, as SentencePiece writes it. */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

export function missingUnknown(token: string | undefined): SubzeroError {
  const why = token === undefined ? 'names no unknown-token' : `does not hold its unknown-token ${brief(token)}`;
  return new SubzeroError(
    'invalid_data',
    `the tokenizer has no token for a part of the text, and its vocabulary ${why}`,
  );
}

/** The merges, and whether one joins the mark of a space to something else that stands before it. */
function readMerges(
  section: Section,
  { ids }: Vocabulary,
  prefix: string,
): { merges: MergeTable; joinsMarks: boolean } {
  const rows = section.list('merges');
  const merges = new MergeTable(rows.length);
  const isLegacy = typeof rows[0] === 'string';
  let rank = 0;
  let joinsMarks = false;
  for (const [index, row] of rows.entries()) {
    if (isLegacy && typeof row === 'string' && row.startsWith('#version')) continue;
    const pair = isLegacy && typeof row === 'string' ? row.split(' ') : row;
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== 'string' || typeof pair[1] !== 'string') {
      throw section.error('invalid_data', `merges[${index}] is ${brief(row)}; expected two tokens, all rows alike`);
    }
    const [left, right] = pair as [string, string];
    const merged = left + (prefix === '' ? right : right.slice(prefix.length));
    const [leftId, rightId, id] = [ids.get(left), ids.get(right), ids.get(merged)];
    if (leftId === undefined || rightId === undefined || id === undefined) {
      const missing = leftId === undefined ? left : rightId === undefined ? right : merged;
      throw section.error('invalid_data', `merges[${index}]: the vocabulary does not hold the token ${brief(missing)}`);
    }
    merges.set(leftId, rightId, { rank: rank++, id });
    joinsMarks ||= right.startsWith(wordMark) && left.replaceAll(wordMark, '') !== '';
  }
  return { merges, joinsMarks };
}

/** The parts of a word that begin with marks: where no merge joins them, the merges of each are its own. */
function cutAtMarks(word: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let at = word.indexOf(wordMark, 1); at >= 0; at = word.indexOf(wordMark, at + 1)) {
    if (word[at - 1] === wordMark) continue;
    parts.push(word.slice(start, at));
    start = at;
  }
  parts.push(word.slice(start));
  return parts;
}

/** A merge that may be done at a position, in a heap: the smallest rank first, then the leftmost. */
interface Candidate {
  position: number;
  rank: number;
  id: number;
}

/** Merges neighbouring symbols until no merge applies: the smallest rank first, of those the leftmost. */
function mergeAll(symbols: number[], merges: MergeTable): number[] {
  return symbols.length <= fewSymbols ? mergeFew(symbols, merges) : mergeMany(symbols, merges);
}

/** Looks at all pairs for each merge. */
function mergeFew(symbols: number[], merges: MergeTable): number[] {
  const pairs: number[] = [];
  for (let i = 0; i + 1 < symbols.length; i++) pairs.push(merges.find(symbols[i]!, symbols[i + 1]!));
  for (;;) {
    let first = -1;
    let rank = Number.POSITIVE_INFINITY;
    for (let i = 0; i < pairs.length; i++) {
      const pair = pairs[i]!;
      if (pair < 0 || merges.rankOf(pair) >= rank) continue;
      first = i;
      rank = merges.rankOf(pair);
    }
    if (first < 0) return symbols;
    symbols[first] = merges.idOf(pairs[first]!);
    symbols.splice(first + 1, 1);
    pairs.splice(first, 1);
    if (first > 0) pairs[first - 1] = merges.find(symbols[first - 1]!, symbols[first]!);
    if (first < pairs.length) pairs[first] = merges.find(symbols[first]!, symbols[first + 1]!);
  }
}

/** Keeps the merges that may be done in a heap, so that a long word takes little more time for each of its symbols. */
function mergeMany(symbols: number[], merges: MergeTable): number[] {
  const count = symbols.length;
  const next = Int32Array.from(symbols, (_, i) => (i + 1 < count ? i + 1 : -1));
  const previous = Int32Array.from(symbols, (_, i) => i - 1);
  const removed = new Uint8Array(count);
  const heap: Candidate[] = [];
  const offer = (position: number, right: number): void => {
    const merge = merges.find(symbols[position]!, symbols[right]!);
    if (merge >= 0) push(heap, { position, rank: merges.rankOf(merge), id: merges.idOf(merge) });
  };
  for (let i = 0; i + 1 < count; i++) offer(i, i + 1);

  for (let top = pop(heap); top !== undefined; top = pop(heap)) {
    const { position, id } = top;
    const right = next[position]!;
    if (removed[position] || right < 0) continue;
    // The symbols may have changed since the merge was offered.
    const merge = merges.find(symbols[position]!, symbols[right]!);
    if (merge < 0 || merges.idOf(merge) !== id) continue;
    symbols[position] = id;
    removed[right] = 1;
    const after = next[right]!;
    next[position] = after;
    if (after >= 0) previous[after] = position;
    const before = previous[position]!;
    if (before >= 0) offer(before, position);
    if (after >= 0) offer(position, after);
  }
  return symbols.filter((_, i) => !removed[i]);
}

const goesFirst = (a: Candidate, b: Candidate) => a.rank < b.rank || (a.rank === b.rank && a.position < b.position);

function push(heap: Candidate[], item: Candidate): void {
  let i = heap.length;
  heap.push(item);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (!goesFirst(item, heap[parent]!)) break;
    heap[i] = heap[parent]!;
    i = parent;
  }
  heap[i] = item;
}

function pop(heap: Candidate[]): Candidate | undefined {
  const top = heap[0];
  const last = heap.pop();
  if (top === undefined || heap.length === 0 || last === undefined) return top;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && goesFirst(heap[child + 1]!, heap[child]!)) child++;
    if (!goesFirst(heap[child]!, last)) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = last;
  return top;
}
