/**
 * What every operation needs: the GPU, a workspace for results, and the probes that the rows belong to.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
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
