/**
 * The kernels that a run began with, in its journal's header: a run that goes on must get the same bits although plans
 * were timed again since.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type MatmulPlans, type PlanRecord, readPlans } from '../ops/matmul-plans.ts';
import type { JournalHeader } from '../zo/journal.ts';

/** What the header says of the adapter. */
export function adapterName({ adapter, arithmetic }: Pick<Gpu, 'adapter' | 'arithmetic'>): string {
  return `${adapter.description || adapter.device}${arithmetic === 'half' ? ', half arithmetic' : ''}`;
}

/** The plans as a part of the header's `extra`; nothing where all are by rule. */
export function planRecord(plans: MatmulPlans): { matmulPlans?: PlanRecord } {
  return plans.size === 0 ? {} : { matmulPlans: Object.fromEntries(plans) };
}

/**
 * The plans that a run goes on with: those it began with; on another adapter, where its bits cannot be had anyway, that
 * adapter's own.
 * @throws SubzeroError `invalid_data` for plans that this version does not have
 */
export function plansOfRun(
  gpu: Pick<Gpu, 'adapter' | 'arithmetic'>,
  folder: string,
  header: JournalHeader,
): { plans?: MatmulPlans } {
  if (header.adapter !== adapterName(gpu)) return {};
  const plans = readPlans(header.extra.matmulPlans ?? {});
  if (plans) return { plans };
  throw new SubzeroError(
    'invalid_data',
    `${folder}: the journal's header names kernels ("matmulPlans") that version ${header.packageVersion} had and ` +
      'this one has not; continue the run with that version',
    { parameter: 'matmulPlans' },
  );
}
