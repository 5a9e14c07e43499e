/**
 * The unigram language model (Kudo 2018): the cut of a word whose tokens have the largest sum of scores.
 *
 * @module
 */

import type { Model } from './model.ts';
import { byteToken, missingUnknown } from './model-bpe.ts';
import { brief, type Section } from './section.ts';
import { Vocabulary } from './vocabulary.ts';

/** How much worse than the worst token an unknown character is. */
const unknownPenalty = 10;

const encoder = new TextEncoder();

/** A trie over UTF-16 units. */
interface TrieNode {
  children?: Map<number, TrieNode>;
  /** The token that ends here. */
  id?: number;
}

/** Compiles a `model` section of type Unigram. */
export function compileUnigram(section: Section): Model {
  const rows = section.list('vocab');
  const scores: number[] = [];
  const ids = new Map<string, number>();
  for (const [id, row] of rows.entries()) {
    if (!Array.isArray(row) || typeof row[0] !== 'string' || typeof row[1] !== 'number') {
      throw section.error('invalid_data', `vocab[${id}] is ${brief(row)}; expected a pair of token and score`);
    }
    ids.set(row[0], id);
    scores.push(row[1]);
  }
  const unknownId = section.raw('unk_id') == null ? undefined : section.count('unk_id');
  if (unknownId !== undefined && unknownId >= rows.length) {
    throw section.wrong('unk_id', `an id of the vocabulary, below ${rows.length}`, unknownId);
  }
  const byteFallback = section.flag('byte_fallback', false);
  const vocabulary = new Vocabulary(ids);
  const root: TrieNode = {};
  for (const [token, id] of ids) insert(root, token, id);
  const unknownScore =
    scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY) - unknownPenalty;

  const unknown = (): number => {
    if (unknownId === undefined) throw missingUnknown(undefined);
    return unknownId;
  };

  /** The parts of a word, in order; unknown characters that follow each other are one part. */
  const cut = (word: string): string[] => {
    const score = new Float64Array(word.length + 1);
    const start = new Int32Array(word.length + 1).fill(-1);
    const token = new Int32Array(word.length + 1);
    const offer = (from: number, to: number, value: number, id: () => number): void => {
      if (start[to]! >= 0 && !(value > score[to]!)) return;
      score[to] = value;
      start[to] = from;
      token[to] = id();
    };
    for (let from = 0; from < word.length; ) {
      const width = word.codePointAt(from)! > 0xffff ? 2 : 1;
      let hasCharacter = false;
      let node: TrieNode | undefined = root;
      for (let to = from; to < word.length; ) {
        node = node.children?.get(word.charCodeAt(to++));
        if (node === undefined) break;
        const { id } = node;
        if (id === undefined) continue;
        offer(from, to, scores[id]! + score[from]!, () => id);
        if (to === from + width) hasCharacter = true;
      }
      if (!hasCharacter) offer(from, from + width, unknownScore + score[from]!, unknown);
      from += width;
    }
    const parts: string[] = [];
    let isUnknown = false;
    for (let end = word.length; end > 0; end = start[end]!) {
      const part = word.slice(start[end]!, end);
      if (token[end] === unknownId && isUnknown) parts.push(part + parts.pop()!);
      else parts.push(part);
      isUnknown = token[end] === unknownId;
    }
    return parts.reverse();
  };

  return {
    vocabulary,
    encode: (word) =>
      cut(word).flatMap((part) => {
        const id = ids.get(part);
        if (id !== undefined) return [id];
        if (byteFallback) {
          const bytes = Array.from(encoder.encode(part), (byte) => ids.get(byteToken(byte)));
          if (bytes.every((byte) => byte !== undefined)) return bytes;
        }
        return [unknown()];
      }),
  };
}

function insert(root: TrieNode, token: string, id: number): void {
  let node = root;
  for (let i = 0; i < token.length; i++) {
    const unit = token.charCodeAt(i);
    node.children ??= new Map();
    let child = node.children.get(unit);
    if (child === undefined) {
      child = {};
      node.children.set(unit, child);
    }
    node = child;
  }
  if (token !== '') node.id = id;
}
