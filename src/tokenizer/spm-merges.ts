/**
 * The merges of a SentencePiece vocabulary, which has scores in their place.
 *
 * @module
 */

/** No published vocabulary merges to longer tokens than this, in characters; looking at all cuts takes time. */
const longest = 1024;

/**
 * The merges by which scores put tokens together: every cut of a token into two others, tokens of better scores first.
 * Cuts of one token, and tokens of one score, follow the order of ids, as in the tokenizer.json that transformers makes
 * of the same vocabulary.
 *
 * @param tokens those that may be made by merging, and of which they are made: token → id
 * @param scoreOf the score of an id
 */
export function mergesOfScores(
  tokens: ReadonlyMap<string, number>,
  scoreOf: (id: number) => number,
): [string, string][] {
  const merges: { left: string; right: string; score: number; id: number; order: [number, number] }[] = [];
  for (const [token, id] of tokens) {
    const characters = [...token];
    if (characters.length > longest) continue;
    let at = 0;
    for (let index = 0; index < characters.length - 1; index++) {
      at += characters[index]!.length;
      const [left, right] = [token.slice(0, at), token.slice(at)];
      const [leftId, rightId] = [tokens.get(left), tokens.get(right)];
      if (leftId === undefined || rightId === undefined) continue;
      merges.push({ left, right, score: scoreOf(id), id, order: [leftId, rightId] });
    }
  }
  merges.sort((a, b) => b.score - a.score || a.id - b.id || a.order[0] - b.order[0] || a.order[1] - b.order[1]);
  return merges.map(({ left, right }) => [left, right]);
}
