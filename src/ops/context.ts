/**
 * What every operation needs: the GPU, a workspace for results, and the probes that the rows belong to.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { spread } from '../gpu/recorder.ts';
import type { Workspace } from '../tensor/workspace.ts';
import type { MatmulPlans } from './matmul-plans.ts';
import type { Probes } from './probes.ts';

export interface OperationContext {
  gpu: Gpu;
  workspace: Workspace;
  probes: Probes;
  /** Plans of matrix products that were timed on this adapter; by rule without. */
  plans?: MatmulPlans;
}

/** Invocations per workgroup of the element-wise kernels. */
const lanes = 64;

/** Workgroups for one invocation per element. */
export function perElement(count: number): [number, number] {
  return spread(Math.ceil(count / lanes));
}
