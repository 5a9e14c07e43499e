/**
 * How alike two texts are, from 0 to 1, each measure as its reference implementation defines it.
 *
 * @module
 */

/** A measure of a text against the text that it should be. */
export type Similarity = (text: string, reference: string) => number;

/** The names of OpenAI's graders. */
export type SimilarityName = 'fuzzy_match' | 'bleu' | 'gleu' | `rouge_${1 | 2 | 3 | 4 | 5 | 'l'}`;

export const similarities: Readonly<Record<SimilarityName, Similarity>> = {
  fuzzy_match: fuzzyRatio,
  bleu: sentenceBleu,
  gleu: sentenceGleu,
  rouge_1: rougeN(1),
  rouge_2: rougeN(2),
  rouge_3: rougeN(3),
  rouge_4: rougeN(4),
  rouge_5: rougeN(5),
  rouge_l: rougeL,
};

/** rapidfuzz's `fuzz.ratio` / 100: 2 · LCS / (both lengths), over code points; 1 for two empty texts. */
function fuzzyRatio(text: string, reference: string): number {
  const [one, other] = [Array.from(text), Array.from(reference)];
  const length = one.length + other.length;
  return length === 0 ? 1 : (2 * commonSubsequence(one, other)) / length;
}

/**
 * sacrebleu's `sentence_bleu` / 100: BLEU-4 of the tokens of mteval-v13a, no longer than the text has n-grams, with
 * exponential smoothing (Chen and Cherry 2014, method 3).
 */
function sentenceBleu(text: string, reference: string): number {
  const [given, wanted] = [tokens13a(text), tokens13a(reference)];
  const correct: number[] = [];
  const total: number[] = [];
  for (let order = 1; order <= 4; order++) {
    correct.push(overlap(countsOf(given, order), countsOf(wanted, order)));
    total.push(Math.max(0, given.length - order + 1));
  }
  if (correct.every((count) => count === 0)) return 0;
  let smoothing = 1;
  const logarithms: number[] = [];
  for (let index = 0; index < 4 && total[index]! > 0; index++) {
    if (correct[index] === 0) smoothing *= 2;
    logarithms.push(Math.log((correct[index] || 1 / smoothing) / total[index]!));
  }
  const mean = logarithms.reduce((sum, value) => sum + value, 0) / logarithms.length;
  const brevity = given.length < wanted.length ? 1 - wanted.length / given.length : 0;
  return Math.exp(mean + brevity);
}

/**
 * NLTK's `sentence_gleu` over words between white space: n-grams of 1 to 4 in common over the larger number of them.
 */
function sentenceGleu(text: string, reference: string): number {
  const [given, wanted] = [wordsOf(text), wordsOf(reference)];
  let [common, largest, other] = [0, 0, 0];
  for (let order = 1; order <= 4; order++) {
    common += overlap(countsOf(given, order), countsOf(wanted, order));
    largest += Math.max(0, given.length - order + 1);
    other += Math.max(0, wanted.length - order + 1);
  }
  const all = Math.max(largest, other);
  return all === 0 ? 0 : common / all;
}

/** The F-measure of rouge-score's `rougeN` without a stemmer. */
function rougeN(order: number): Similarity {
  return (text, reference) => {
    const [given, wanted] = [rougeTokens(text), rougeTokens(reference)];
    const common = overlap(countsOf(given, order), countsOf(wanted, order));
    return harmonicMean(common, Math.max(0, given.length - order + 1), Math.max(0, wanted.length - order + 1));
  };
}

/** The F-measure of rouge-score's `rougeL` without a stemmer: the longest common subsequence of words. */
function rougeL(text: string, reference: string): number {
  const [given, wanted] = [rougeTokens(text), rougeTokens(reference)];
  return harmonicMean(commonSubsequence(given, wanted), given.length, wanted.length);
}

/** The harmonic mean of common / given and common / wanted. */
function harmonicMean(common: number, given: number, wanted: number): number {
  return common === 0 ? 0 : (2 * common) / (given + wanted);
}

/** The cosine of the angle between two vectors; 0 where one of them is 0. */
export function cosine(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let [product, first, second] = [0, 0, 0];
  for (let index = 0; index < one.length; index++) {
    product += one[index]! * other[index]!;
    first += one[index]! ** 2;
    second += other[index]! ** 2;
  }
  return product === 0 ? 0 : product / Math.sqrt(first * second);
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** The tokens of mteval-v13a as sacrebleu makes them. */
function tokens13a(text: string): string[] {
  const plain = text
    .trimEnd()
    .replaceAll('<skipped>', '')
    .replaceAll('-\n', '')
    .replaceAll('\n', ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>');
  return wordsOf(
    ` ${plain} `
      .replace(/[{-~[-` -&(-+:-@/]/g, ' $& ')
      .replace(/([^0-9])([.,])/gu, '$1 $2 ')
      .replace(/([.,])([^0-9])/gu, ' $1 $2')
      .replace(/([0-9])(-)/g, '$1 $2 '),
  );
}

/** Runs of ASCII letters and digits in lower case. */
function rougeTokens(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
}

function countsOf(tokens: readonly string[], order: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let start = 0; start + order <= tokens.length; start++) {
    // No token has a space in it.
    const gram = tokens.slice(start, start + order).join(' ');
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}

/** How many of the one are matched by the other, each used once. */
function overlap(one: ReadonlyMap<string, number>, other: ReadonlyMap<string, number>): number {
  let common = 0;
  for (const [gram, count] of one) common += Math.min(count, other.get(gram) ?? 0);
  return common;
}

/** The length of the longest common subsequence, in the memory of one row. */
function commonSubsequence(one: readonly string[], other: readonly string[]): number {
  const row = new Uint32Array(other.length + 1);
  for (const item of one) {
    let diagonal = 0;
    for (let column = 1; column <= other.length; column++) {
      const above = row[column]!;
      row[column] = item === other[column - 1] ? diagonal + 1 : Math.max(above, row[column - 1]!);
      diagonal = above;
    }
  }
  return row[other.length]!;
}
