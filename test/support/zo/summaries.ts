/**
 * Parameters of a run against those of a reference trajectory.
 *
 * @module
 */

import { expect } from 'vitest';
import type { Model } from '../../../src/model/model.ts';
import { norm, relativeError } from './compare.ts';
import type { GoldenSummary } from './golden.ts';

type Summaries = Readonly<Record<string, GoldenSummary>>;

/** Some entries and the norm of every tensor, with the given relative error at most. */
export function expectSummaries(
  values: ReadonlyMap<string, ArrayLike<number>>,
  expected: Summaries,
  allowed: number,
): void {
  expect([...values.keys()].sort()).toEqual(Object.keys(expected).sort());
  for (const [tensor, summary] of Object.entries(expected)) {
    const actual = values.get(tensor)!;
    const entries = summary.indices.map((index) => actual[index]!);
    expect(relativeError(entries, summary.values), tensor).toBeLessThan(allowed);
    expect(Math.abs(norm(actual) - summary.norm) / summary.norm, `norm of ${tensor}`).toBeLessThan(allowed);
  }
}

/** Leaves out the matrices that the trajectory does not train, which {@link expectFrozen} is for. */
export function withoutFrozenMatrices<T>(
  model: Model,
  values: ReadonlyMap<string, T>,
  trained: Summaries,
): Map<string, T> {
  return new Map([...values].filter(([name]) => name in trained || !model.weights.has(name)));
}

/** What the trajectory does not train has kept every bit. @param before all parameters (`modelBytes`), as `after` */
export function expectFrozen(
  before: ReadonlyMap<string, Uint8Array>,
  after: ReadonlyMap<string, Uint8Array>,
  trained: Summaries,
): void {
  expect([...before.keys()]).toEqual(expect.arrayContaining(Object.keys(trained)));
  for (const [name, bytes] of before) {
    if (!(name in trained)) expect(Buffer.compare(bytes, after.get(name)!), `${name} is frozen`).toBe(0);
  }
}
