/**
 * Matmul plans that were timed: which kernel was the fastest for a shape on this adapter. A model keeps the ones that
 * it was loaded with, so that its results have the same bits for as long as it lives; a run keeps them in its journal
 * and continues with them.
 *
 * @module
 */

import type { Storage } from '../weights/index.ts';
import { type MatmulPlan, type MatmulVariant, type MatrixFragment, matmulDescriptions } from './matmul-variants.ts';

/** Timed plans by {@link planKey}; for a shape without one the plan is chosen by rule. */
export type MatmulPlans = ReadonlyMap<string, MatmulPlan>;

/** What a timed plan is for. */
export interface PlannedProduct {
  rows: number;
  columns: number;
  innerQuads: number;
  storage: Storage;
}

/** Row counts that share a plan with all below them, down to the one before; more rows are as the last. */
export const rowBuckets = [1, 4, 16, 64, 256, 1024] as const;

/** Columns beyond which all is alike: there are workgroups enough. */
const mostColumns = 32_768;

/** Products with the same key share a plan: rows and columns are rounded up. */
export function planKey({ rows, columns, innerQuads, storage }: PlannedProduct): string {
  const bucket = rowBuckets.find((most) => rows <= most) ?? rowBuckets.at(-1)!;
  const wide = 2 ** Math.ceil(Math.log2(Math.min(columns, mostColumns)));
  return `${bucket}x${innerQuads * 4}>${wide} ${storage}`;
}

/** Plans as JSON keeps them. */
export type PlanRecord = Record<string, MatmulPlan>;

/**
 * Reads plans that were written as JSON.
 * @returns undefined unless every one of them is a plan that this version has
 */
export function readPlans(value: unknown): MatmulPlans | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const plans = new Map<string, MatmulPlan>();
  for (const [key, entry] of Object.entries(value)) {
    const plan = readPlan(entry);
    if (!plan) return undefined;
    plans.set(key, plan);
  }
  return plans;
}

function readPlan(value: unknown): MatmulPlan | undefined {
  const { variant, slices, fragment } = (value ?? {}) as Partial<Record<keyof MatmulPlan, unknown>>;
  if (typeof variant !== 'string' || !Object.hasOwn(matmulDescriptions, variant)) return undefined;
  const { sliceable, fragments } = matmulDescriptions[variant as MatmulVariant];
  if (!Number.isInteger(slices) || Number(slices) < 1 || Number(slices) > (sliceable ? 64 : 1)) return undefined;
  const plan = { variant: variant as MatmulVariant, slices: Number(slices) };
  if (fragments === undefined) return fragment === undefined ? plan : undefined;
  const { M, N, K, subgroup, sized } = (fragment ?? {}) as Partial<Record<keyof MatrixFragment, unknown>>;
  if (![M, N, K].every((size) => [4, 8, 16, 32].includes(Number(size)))) return undefined;
  if (subgroup !== undefined && ![4, 8, 16, 32, 64, 128].includes(Number(subgroup))) return undefined;
  if (sized !== undefined && typeof sized !== 'boolean') return undefined;
  return {
    ...plan,
    fragment: {
      ...{ M: Number(M), N: Number(N), K: Number(K) },
      ...(subgroup === undefined ? {} : { subgroup: Number(subgroup) }),
      ...(sized === undefined ? {} : { sized }),
    },
  };
}
