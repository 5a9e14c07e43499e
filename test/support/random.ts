/**
 * Seeded inputs for tests. Every run draws fresh ones; the seed is named in the failure and `SUBZERO_TEST_SEED` brings
 * it back.
 *
 * @module
 */

import { Random } from '../../src/bench/random.ts';

/** The seed of this run: `SUBZERO_TEST_SEED`, or a fresh one. */
export const testSeed: number = process.env.SUBZERO_TEST_SEED
  ? Number(process.env.SUBZERO_TEST_SEED)
  : Math.floor(Math.random() * 2 ** 31);

export { Random };

/** Runs a test body; a failure names the seed that reproduces it. */
export async function withSeed<T>(name: string, body: (random: Random) => T | Promise<T>): Promise<T> {
  try {
    return await body(new Random(testSeed, name));
  } catch (error) {
    if (error instanceof Error) error.message += `\n(reproduce with SUBZERO_TEST_SEED=${testSeed})`;
    throw error;
  }
}
