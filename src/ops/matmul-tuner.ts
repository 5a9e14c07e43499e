/**
 * Times the plans for a model's matrix products on this adapter, once: the fastest are kept on disk.
 *
 * @module
 */

import type { AdapterDescription } from '../gpu/device.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { environmentVariables } from '../platform/index.ts';
import type { Weight } from '../tensor/weight.ts';
import { Workspace } from '../tensor/workspace.ts';
import { rowBytes } from '../weights/index.ts';
import { matmul } from './linear.ts';
import { chooseMatmul, matrixFragment } from './matmul-choice.ts';
import { type MatmulPlans, type PlannedProduct, planKey, rowBuckets } from './matmul-plans.ts';
import {
  type MatmulPlan,
  type MatmulVariant,
  matmulDescriptions,
  matrixVariant,
  sliceQuads,
} from './matmul-variants.ts';
import { planTableFile, readPlanTable, writePlanTable } from './plan-table.ts';

/** Longest that one model's load times plans; products that are left go by rule until the next load. */
const budgetMilliseconds = 20_000;

/** Weights of which only a part is multiplied: time is proportional to it. */
const mostWeightBytes = 64 * 1024 * 1024;

/** How often a plan is run for one measurement, and how many measurements there are, of which the fastest counts. */
const runs = 8;
const measurements = 3;

/** A plan must be this much faster than the one by rule: less is noise. */
const worthwhile = 0.95;

/** `on` and `off` as SUBZERO_AUTOTUNE says; otherwise for GPUs: software adapters have one good variant. */
export function tuningWanted(
  { adapter }: { adapter: Pick<AdapterDescription, 'software'> },
  environment: Readonly<Record<string, string | undefined>> = environmentVariables,
): boolean {
  const wish = environment.SUBZERO_AUTOTUNE;
  if (wish === 'on' || wish === 'off') return wish === 'on';
  return !adapter.software;
}

/** What could be the fastest for a product, the plan by rule first. */
export function candidates(gpu: Gpu, product: PlannedProduct): MatmulPlan[] {
  const byRule = chooseMatmul(gpu, product);
  if (gpu.kernelStyle === 'software') return [byRule];
  const { rows } = product;
  const [small, large] = ([2, 4] as const).map((fragments) => matrixVariant(fragments, gpu.arithmetic === 'half'));
  const variants: MatmulVariant[] =
    rows <= 4
      ? [rows === 1 ? 'one-row' : 'few-rows', 'tile-1x4']
      : rows <= 16
        ? ['few-rows', 'tile-1x4', 'tile-4x4', small!]
        : ['tile-4x4', 'tile-8x8', small!, large!];
  const plans = variants.flatMap((variant): MatmulPlan[] => {
    const { fragments } = matmulDescriptions[variant];
    const fragment = fragments === undefined ? undefined : matrixFragment(gpu, fragments);
    if (fragments !== undefined && !fragment) return [];
    return [1, 4, 16]
      .filter((slices) => slices === 1 || sliceQuads(product.innerQuads, slices) >= 32)
      .map((slices) => ({ variant, slices, ...(fragment ? { fragment } : {}) }));
  });
  const same = (a: MatmulPlan, b: MatmulPlan): boolean => a.variant === b.variant && a.slices === b.slices;
  return [byRule, ...plans.filter((plan) => !same(plan, byRule))];
}

/** The products with a weight that are told apart, one for each bucket of rows. */
export function productsOf(weights: Iterable<Weight>): PlannedProduct[] {
  const products = new Map<string, PlannedProduct>();
  for (const { columns: inner, storage, parts } of weights) {
    for (const { rowCount } of parts) {
      for (const rows of rowBuckets) {
        const product = { rows, columns: rowCount, innerQuads: inner / 4, storage };
        products.set(planKey(product), product);
      }
    }
  }
  return [...products.values()];
}

/** Milliseconds of one run of a plan. */
type Measure = (product: PlannedProduct, plan: MatmulPlan) => Promise<number>;

/**
 * Times the candidates of every product.
 * @param measure for tests
 * @returns the fastest plan of each product, by key
 */
export async function tune(
  gpu: Gpu,
  products: readonly PlannedProduct[],
  measure: Measure = (product, plan) => timePlan(gpu, product, plan),
): Promise<MatmulPlans> {
  const plans = new Map<string, MatmulPlan>();
  const start = performance.now();
  for (const product of products) {
    if (performance.now() - start > budgetMilliseconds) break;
    const [byRule, ...others] = candidates(gpu, product);
    let best = byRule!;
    if (others.length > 0) {
      let least = (await measure(product, best)) * worthwhile;
      for (const plan of others) {
        const time = await measure(product, plan);
        if (time < least) [best, least] = [plan, time];
      }
    }
    plans.set(planKey(product), best);
  }
  return plans;
}

async function timePlan(gpu: Gpu, product: PlannedProduct, plan: MatmulPlan): Promise<number> {
  const { rows, innerQuads, storage } = product;
  const inner = innerQuads * 4;
  const columns = Math.max(1, Math.min(product.columns, Math.floor(mostWeightBytes / rowBytes(storage, inner))));
  const workspace = new Workspace(gpu);
  workspace.reserve(rows);
  const weight = { buffer: gpu.allocate(columns * rowBytes(storage, inner), 'scratch', 'a weight to time') };
  try {
    const [x, y] = [workspace.take(rows, inner), workspace.take(rows, columns)];
    const record = (): void =>
      matmul(
        { gpu, workspace },
        { storage, activation: 'none', hasBias: false, accumulate: false },
        {
          ...{ x, weight, weightRow: 0, outputRow: 0, columns, y: y.buffer, yStride: columns, columnStart: 0 },
          ...{ rowsPerProbe: rows, weightScale: 1 },
        },
        plan,
      );
    record();
    await gpu.checkKernels();
    gpu.recorder.submit();
    await gpu.idle();
    let fastest = Number.POSITIVE_INFINITY;
    for (let measurement = 0; measurement < measurements; measurement++) {
      const start = performance.now();
      for (let run = 0; run < runs; run++) record();
      gpu.recorder.submit();
      await gpu.idle();
      fastest = Math.min(fastest, (performance.now() - start) / runs);
    }
    return fastest;
  } finally {
    workspace.destroy();
    weight.buffer.destroy();
  }
}

/** The plans that this adapter's table has so far; none where plans are not timed. */
export async function knownPlans(gpu: Gpu): Promise<MatmulPlans> {
  return tuningWanted(gpu) ? await readPlanTable(planTableFile(gpu), gpu) : new Map();
}

/**
 * Times what the table lacks for these weights, and adds it to the table.
 * @param measure for tests
 * @returns the plans of these weights' products, the known ones as they are
 */
export async function completePlans(
  gpu: Gpu,
  known: MatmulPlans,
  weights: Iterable<Weight>,
  measure?: Measure,
): Promise<MatmulPlans> {
  if (!tuningWanted(gpu)) return new Map();
  const products = productsOf(weights);
  const missing = products.filter((product) => !known.has(planKey(product)));
  let all = known;
  if (missing.length > 0) {
    const timed = await tune(gpu, missing, measure);
    const file = planTableFile(gpu);
    // Another process may have added to it meanwhile.
    all = new Map([...(await readPlanTable(file, gpu)), ...known, ...timed]);
    await writePlanTable(file, gpu, all);
  }
  return new Map(
    products.flatMap((product) => {
      const plan = all.get(planKey(product));
      return plan ? [[planKey(product), plan] as const] : [];
    }),
  );
}
