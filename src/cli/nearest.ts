/**
 * Finds the name a user may have meant.
 *
 * @module
 */

/**
 * The Damerau–Levenshtein distance in its optimal string alignment form: the least number of insertions, deletions,
 * substitutions and swaps of neighbours that turn one word into the other, no part being edited twice.
 */
export function editDistance(from: string, to: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const substitution = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1);
      let best = Math.min(substitution, previous[column]! + 1, current[column - 1]! + 1);
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped) best = Math.min(best, beforePrevious[column - 2]! + 1);
      current.push(best);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[to.length]!;
}

/**
 * The candidate nearest to `name`. Initials (`lr` for `learning-rate`) and beginnings (`learn`) count as very near.
 * @returns the candidate and whether it is near enough to be what was meant; `undefined` if there are no candidates
 */
export function nearest(name: string, candidates: readonly string[]): { name: string; near: boolean } | undefined {
  let best: { name: string; distance: number } | undefined;
  const wanted = name.toLowerCase();
  for (const candidate of candidates) {
    const distance = similarity(wanted, candidate.toLowerCase());
    if (!best || distance < best.distance) best = { name: candidate, distance };
  }
  if (!best) return undefined;
  return { name: best.name, near: best.distance <= Math.max(1, Math.floor(wanted.length * 0.4)) };
}

function similarity(wanted: string, candidate: string): number {
  const initials = candidate
    .split('-')
    .map((word) => word[0])
    .join('');
  if (initials.length > 1 && wanted === initials) return 0.5;
  if (wanted.length > 1 && candidate.startsWith(wanted)) return 0.75;
  return editDistance(wanted, candidate);
}

/** A sentence part such as `; did you mean --steps?`, or an empty string if there is nothing to name. */
export function suggestion(name: string, candidates: readonly string[], prefix = ''): string {
  const found = nearest(name, candidates);
  if (!found) return '';
  return found.near ? `; did you mean ${prefix}${found.name}?` : `; the nearest is ${prefix}${found.name}`;
}
