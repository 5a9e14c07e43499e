/**
 * MeZO as its authors run it (arXiv 2305.17333, algorithm 1): four passes over the weights in place, W += εz, W −= 2εz,
 * W += εz and W −= ηρz, each with the noise drawn anew from its seed, and two forward passes in between. For comparison
 * only.
 *
 * The passes are our own update kernel, one launch a tensor, four elements an invocation: each reads and writes every
 * weight once.
 *
 * @module
 */

import type { GpuBuffer } from '../../src/gpu/buffer.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import type { KernelDefinition } from '../../src/gpu/kernel.ts';
import { perElement } from '../../src/gpu/workgroups.ts';
import type { Model } from '../../src/model/model.ts';
import { padParameters } from '../../src/ops/dense.ts';
import { denseUpdateKernel } from '../../src/ops/dense-update.ts';
import type { Probes } from '../../src/ops/probes.ts';
import { keyOfSeed, tensorId } from '../../src/random/philox.ts';
import type { Weight } from '../../src/tensor/weight.ts';
import { TrainedState } from '../../src/zo/trained-state.ts';

/** What a pass takes away: pairs of the coefficients, how much of the noise and the decay, which is 0. */
const passes = { toPlus: 0, toMinus: 1, back: 2, update: 3 } as const;

export class InPlaceMezo {
  readonly #gpu: Gpu;
  readonly #model: Model;
  readonly #seed: readonly [number, number];
  readonly #epsilon: number;
  readonly #state: TrainedState;
  readonly #coefficients: GpuBuffer;

  /** @param model its weights move while a step runs, and by the steps' updates */
  constructor(model: Model, { seed, epsilon }: { seed: number; epsilon: number }) {
    this.#gpu = model.gpu;
    this.#model = model;
    this.#seed = keyOfSeed(seed);
    this.#epsilon = epsilon;
    this.#state = new TrainedState(this.#gpu, {
      vectors: model.vectors,
      points: [{ scale: 0, query: 0 }],
      seed: this.#seed,
      direction: 'plain',
    });
    this.#coefficients = this.#gpu.allocate(32, 'state', 'coefficients in place');
  }

  /**
   * One step.
   * @param lossOf runs a forward pass over the weights as they are
   * @returns ρ = (ℓ₊ − ℓ₋)/2ε
   */
  async step(step: number, learningRate: number, lossOf: (probes: Probes) => Promise<number>): Promise<number> {
    const epsilon = this.#epsilon;
    this.#coefficients.write(new Float32Array([-epsilon, 0, 2 * epsilon, 0, -epsilon, 0, 0, 0]));
    const probes: Probes = {
      count: 1,
      state: this.#state.buffer,
      stateStride: 0,
      factors: new Map(),
      weightScale: 1,
      vectors: this.#state.vectors,
    };
    this.#pass(step, passes.toPlus);
    const plus = await lossOf(probes);
    this.#pass(step, passes.toMinus);
    const minus = await lossOf(probes);
    const rho = (plus - minus) / (2 * epsilon);
    this.#coefficients.write(new Float32Array([learningRate * rho]), passes.update * 8);
    this.#pass(step, passes.back);
    this.#pass(step, passes.update);
    this.#gpu.recorder.submit();
    return rho;
  }

  #pass(step: number, pass: number): void {
    for (const weight of this.#model.weights.values()) {
      for (const { buffer, rowStart, rowCount } of weight.parts) {
        this.#gpu.recorder.dispatch(
          this.#gpu.kernel(kernelOf(weight)),
          [buffer, this.#gpu.unused, this.#coefficients],
          {
            width_quads: weight.columns / 4,
            rows: rowCount,
            weight_row: 0,
            curvature_row: 0,
            output_row: rowStart,
            seed_low: this.#seed[0],
            seed_high: this.#seed[1],
            tensor: tensorId(weight.name),
            step,
            steps: 1,
            queries: 1,
            coefficient_offset: 2 * pass,
            coefficient_stride: 2,
            ...padParameters(weight),
            threshold: 0,
            smoothing: 0,
          },
          perElement((rowCount * weight.columns) / 8),
        );
      }
    }
    this.#state.update(step, { coefficients: this.#coefficients, offset: 2 * pass, queries: 1, decay: 1 });
  }

  destroy(): void {
    this.#state.destroy();
    this.#coefficients.destroy();
  }
}

/** f16 is rounded to the nearest: our stochastic rounding would draw as many numbers again. */
function kernelOf(weight: Weight): KernelDefinition {
  const { files, constants = {} } = denseUpdateKernel(weight, 'plain', 1);
  const nearest = (file: string) => (file === 'weights/f16.wgsl' ? '../bench/rivals/f16-nearest.wgsl' : file);
  return { files: files.map(nearest), constants };
}
