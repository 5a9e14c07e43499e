/**
 * Launches over the trained state: its perturbation for some probes, and its updates. A workgroup takes one block of
 * it.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { spread } from '../gpu/workgroups.ts';
import { type DirectionKind, directionNumber } from './probes.ts';

/** The state at a step. */
export interface StateOfStep {
  state: GpuBuffer;
  /** Four u32 per block, see tensor/state.ts. */
  blocks: GpuBuffer;
  blockCount: number;
  /** Philox key. */
  seed: readonly [low: number, high: number];
  step: number;
}

function common({ blockCount, seed, step }: StateOfStep): Record<string, number> {
  return { seed_low: seed[0], seed_high: seed[1], step, block_count: blockCount };
}

/** The kernel that perturbs or updates a state along directions of a kind. */
export function stateKernel(name: 'perturb' | 'update', direction: DirectionKind): KernelDefinition {
  return {
    files: ['random/philox.wgsl', 'zo/direction.wgsl', `zo/${name}.wgsl`],
    constants: { DIRECTION: directionNumber[direction] },
  };
}

/** Records the state as some probes of a step see it. */
export function recordPerturbation(
  gpu: Gpu,
  of: StateOfStep,
  {
    direction,
    shape,
    table,
    perturbed,
    first,
    count,
  }: {
    direction: DirectionKind;
    /** What the direction depends on, see kernels/zo/perturb.wgsl. */
    shape: GpuBuffer;
    /** (scale, query) per probe of the step. */
    table: GpuBuffer;
    perturbed: GpuBuffer;
    first: number;
    count: number;
  },
): void {
  const [x, y] = spread(of.blockCount);
  gpu.recorder.dispatch(
    gpu.kernel(stateKernel('perturb', direction)),
    [of.state, of.blocks, table, shape, perturbed],
    { ...common(of), first_probe: first },
    [x, y, count],
  );
}

/** The numbers of an update: ρ_k of K queries, from element `offset` on, with what is multiplied into them. */
export interface UpdateCoefficients {
  coefficients: GpuBuffer;
  offset: number;
  queries: number;
  /** Factor on the factors before the update. */
  decay: number;
}

/** Records state ← decay · state − Σ coefficient · direction; decay acts on factors only. */
export function recordStateUpdate(
  gpu: Gpu,
  of: StateOfStep,
  { coefficients, offset, queries, decay }: UpdateCoefficients,
  direction: DirectionKind,
  shape: GpuBuffer,
): void {
  gpu.recorder.dispatch(
    gpu.kernel(stateKernel('update', direction)),
    [of.state, of.blocks, coefficients, shape],
    { ...common(of), queries, coefficient_offset: offset, decay },
    spread(of.blockCount),
  );
}

/** Decay rates of both means, and 1 / (1 − βᵗ) for matrices and for vectors. */
export interface AdamRates {
  learningRate: number;
  beta1: number;
  beta2: number;
  matrix: { correction1: number; correction2: number };
  vector: { correction1: number; correction2: number };
}

/** The kernel of {@link recordStateAdam}. @param adaptive Adam; momentum alone otherwise */
export function stateAdamKernel(adaptive: boolean): KernelDefinition {
  return { files: ['random/philox.wgsl', 'zo/moments.wgsl', 'zo/adam.wgsl'], constants: { ADAPTIVE: adaptive } };
}

/**
 * Records a step of the state along its mean gradients.
 *
 * @param units length of a unit step, one vector per block
 * @param moments m and, if adaptive, v after it, each laid out as the state
 */
export function recordStateAdam(
  gpu: Gpu,
  of: StateOfStep,
  { coefficients, offset, queries, decay }: UpdateCoefficients,
  { learningRate, beta1, beta2, matrix, vector }: AdamRates,
  { units, moments, adaptive }: { units: GpuBuffer; moments: GpuBuffer; adaptive: boolean },
): void {
  gpu.recorder.dispatch(
    gpu.kernel(stateAdamKernel(adaptive)),
    [of.state, of.blocks, coefficients, units, moments],
    {
      ...common(of),
      queries,
      coefficient_offset: offset,
      decay,
      learning_rate: learningRate,
      beta1,
      beta2,
      matrix_correction1: matrix.correction1,
      matrix_correction2: matrix.correction2,
      vector_correction1: vector.correction1,
      vector_correction2: vector.correction2,
    },
    spread(of.blockCount),
  );
}
