/**
 * McNemar's test for two systems that are right or wrong on the same examples.
 *
 * @module
 */

/**
 * The exact test (McNemar 1947; by the binomial distribution): how likely two systems that are equally good are to
 * differ this much, on both sides together.
 *
 * @param gained examples that only the second has right
 * @param lost examples that only the first has right
 * @returns min(1, 2 · P(X ≤ min(gained, lost))) for X binomial of gained + lost tosses of a fair coin
 */
export function mcnemar(gained: number, lost: number): number {
  const tosses = gained + lost;
  // From the largest term down, so that terms too small for a number are those that do not count.
  let logTerm = -tosses * Math.LN2;
  const logTerms = [logTerm];
  for (let heads = 1; heads <= Math.min(gained, lost); heads++) {
    logTerm += Math.log((tosses - heads + 1) / heads);
    logTerms.push(logTerm);
  }
  const tail = logTerms.reduceRight((sum, each) => sum + Math.exp(each), 0);
  return Math.min(1, 2 * tail);
}
