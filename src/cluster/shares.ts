/**
 * Who takes how many parts of a step, by how fast each is.
 *
 * @module
 */

/**
 * Parts of equal size for each, so that the last is done as early as can be: one after the other, a part goes to
 * whoever would be done with it first.
 * @param paces time that a part takes each of them; above 0
 * @returns parts by member, in the order of the paces; 0 for one that would only be waited for
 */
export function sharesOf(paces: readonly number[], parts: number): number[] {
  const shares = paces.map(() => 0);
  if (paces.length === 0) return shares;
  for (let part = 0; part < parts; part++) {
    let first = 0;
    for (let member = 1; member < paces.length; member++) {
      if ((shares[member]! + 1) * paces[member]! < (shares[first]! + 1) * paces[first]!) first = member;
    }
    shares[first]!++;
  }
  return shares;
}

/** The middle one of some numbers. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
