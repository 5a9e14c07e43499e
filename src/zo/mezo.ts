/**
 * MeZO (arXiv 2305.17333) and two methods that shape its noise: Sparse MeZO (2402.15751) and HiZOO (2402.15173);
 * docs/method.md.
 *
 * The noise covers every trainable parameter and is never stored: kernels draw it anew wherever it is needed. An
 * evaluation at W ± ε·direction makes bounded pieces of the perturbed weights beside the stored ones, so that W stays
 * as it is, bit for bit; only an update writes it.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Model } from '../model/model.ts';
import type { ConsecutiveSteps } from '../ops/consecutive-steps.ts';
import { type DenseNoiseOfRun, recordCurvature, recordDenseUpdate } from '../ops/dense-update.ts';
import type { AdapterShape, DenseTensor, DirectionKind, Probes } from '../ops/probes.ts';
import { keyOfSeed, tensorId } from '../random/philox.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { meansOf } from '../settings/methods.ts';
import { withoutPads } from '../tensor/axis.ts';
import { allocateWeight, destroyWeight, type Weight } from '../tensor/weight.ts';
import type { Tuning } from '../tuning/tuning.ts';
import { AdaptiveStep } from './adaptive-step.ts';
import { type CarriedBytes, type CarriedState, carriedWeights, writeCarried } from './carried-state.ts';
import { DenseAdam, momentRates } from './dense-adam.ts';
import { DenseScratch } from './dense-scratch.ts';
import { adapterThreshold, vectorThreshold, weightThresholds } from './magnitude.ts';
import type { AppliedStep, Measurement, PlannedStep, ZerothOrderOptimizer } from './optimizer.ts';
import { measure, probePoints, valuesPerQuery } from './probe-points.ts';
import { Coefficients, type StepApplier } from './replay.ts';
import { checkIdentities, frozenVectors, TrainedState } from './trained-state.ts';

export class Mezo implements ZerothOrderOptimizer {
  readonly #gpu: Gpu;
  readonly #configuration: TrainConfiguration;
  readonly #seed: readonly [number, number];
  readonly #direction: DirectionKind;
  readonly #state: TrainedState;
  /** What the directions of 1-D parameters depend on; see kernels/zo/perturb.wgsl. */
  readonly #shape: GpuBuffer | undefined;
  readonly #weights: readonly { weight: Weight; dense: DenseTensor }[];
  readonly #tensors: ReadonlyMap<string, DenseTensor>;
  readonly #frozen: Probes['frozen'];
  readonly #adapter: AdapterShape | undefined;
  readonly #scratch: DenseScratch;
  /** Momentum or Adam. */
  readonly #moments: DenseAdam | undefined;
  readonly #adaptive: AdaptiveStep | undefined;
  /** Coefficients of one step. */
  readonly #perStep: number;
  readonly #coefficients: Coefficients;
  readonly #applier: StepApplier;

  /**
   * Measures what a mask needs, then reserves the state. The weights that train change at each update.
   * @param direction how the noise is shaped: `masked` by Sparse MeZO, `curved` by HiZOO
   */
  static async create(
    model: Model,
    configuration: TrainConfiguration,
    tuning: Tuning,
    direction: DirectionKind,
  ): Promise<Mezo> {
    const weights = [...tuning.weights.values()];
    // From the base weights alone: a replay, which starts from them too, finds the same.
    const thresholds =
      direction === 'masked'
        ? await weightThresholds(model.gpu, weights, configuration.sparsity)
        : weights.map(() => 0);
    return new Mezo(model, configuration, tuning, direction, thresholds);
  }

  private constructor(
    model: Model,
    configuration: TrainConfiguration,
    tuning: Tuning,
    direction: DirectionKind,
    thresholds: readonly number[],
  ) {
    const gpu = model.gpu;
    this.#gpu = gpu;
    this.#configuration = configuration;
    this.#seed = keyOfSeed(configuration.seed);
    this.#direction = direction;
    const { weights, vectors, adapter } = tuning;
    const adapters = adapter?.tensors ?? [];
    this.#adapter = adapter;
    checkIdentities([...vectors.keys(), ...weights.keys(), ...adapters.map(({ name }) => name)]);
    const curved = this.#direction === 'curved';
    this.#weights = [...weights.values()].map((weight, index) => {
      const dense: DenseTensor = { tensor: tensorId(weight.name), threshold: thresholds[index]! };
      if (curved) {
        // Zeros, as H starts at 1.
        dense.logCurvature = allocateWeight(gpu, `ln H of ${weight.name}`, weight.rows, weight.columns, 'f32', 'state');
      }
      return { weight, dense };
    });
    this.#tensors = new Map(this.#weights.map(({ weight, dense }) => [weight.name, dense]));
    this.#frozen = frozenVectors(model, tuning);
    this.#state = new TrainedState(gpu, {
      vectors,
      adapters,
      points: probePoints(configuration),
      seed: this.#seed,
      direction: this.#direction,
      lean: configuration.memory > 0,
    });
    if (this.#direction === 'masked') {
      const start = new Map(adapters.map(({ name, values }) => [name, values]));
      this.#shape = this.#state.perBlock('thresholds', ({ name, kind }) =>
        kind === 'adapter'
          ? adapterThreshold(start.get(name)!, configuration.sparsity)
          : vectorThreshold(vectors.get(name)!, configuration.sparsity),
      );
    } else if (curved) {
      this.#shape = gpu.allocate(this.#state.size * 4, 'state', 'ln H of vectors');
    }
    const trained = this.#weights.map(({ weight }) => weight);
    if (meansOf(configuration) !== 'none') {
      this.#moments = new DenseAdam(gpu, trained, this.#state, configuration, this.#seed);
    }
    if (configuration.adaptiveStep) this.#adaptive = new AdaptiveStep(configuration.adaptiveDecay);
    this.#scratch = new DenseScratch(gpu, trained, configuration.memory > 0);
    const rates = this.#moments ? momentRates : 1;
    this.#perStep = configuration.queries * valuesPerQuery(configuration) + rates;
    this.#coefficients = new Coefficients(gpu, this.#perStep);
    this.#applier = {
      coefficientsOf: (applied) => this.#coefficientsOf(applied),
      renewsAt: () => false,
      renew: (step) => this.renew(step),
      record: (steps, offset) => this.#record(steps, offset),
    };
  }

  get probeCount(): number {
    return this.#state.points.length;
  }

  get probesAtOnce(): number {
    return this.#state.probesAtOnce;
  }

  get probeBytes(): number {
    return this.#state.probeBytes;
  }

  reserveProbes(count: number): void {
    this.#state.reserveProbes(count);
  }

  reserveScratch(bytes: number): void {
    this.#scratch.reserve(bytes);
  }

  /** Bytes of the pieces of perturbed weights, of coefficients and tables. */
  get scratchBytes(): number {
    return this.#scratch.buffer.size + this.#coefficients.buffer.size + this.#state.tableBytes;
  }

  /** Bytes of the state and, where there are any, H or moments. */
  get factorBytes(): number {
    const curvature = this.#weights.flatMap(({ dense }) => dense.logCurvature?.parts ?? []);
    const own = (this.#shape?.size ?? 0) + (this.#moments?.bytes ?? 0);
    return this.#state.bytes + own + curvature.reduce((sum, { buffer }) => sum + buffer.size, 0);
  }

  /** The updated weights themselves. */
  get current(): Probes {
    return { count: 1, state: this.#state.buffer, stateStride: 0, ...this.#plain };
  }

  readonly bankLoss = undefined;

  waits(_step: number): boolean {
    return false;
  }

  async renew(_step: number): Promise<void> {}

  beginStep(_step: number): void {
    // Nothing lasts for more than a step.
  }

  perturb(step: number, first = 0, count = this.probeCount - first): Probes {
    const { points, pointTable, perturbed, size } = this.#state;
    this.#state.perturb(step, first, count, this.#shape);
    return {
      count,
      state: perturbed,
      stateStride: size,
      ...this.#plain,
      dense: {
        kind: this.#direction,
        seed: this.#seed,
        step,
        points: points.slice(first, first + count),
        table: pointTable,
        firstProbe: first,
        tensors: this.#tensors,
        scratch: this.#scratch.buffer,
      },
    };
  }

  get #plain(): Pick<Probes, 'factors' | 'weightScale' | 'vectors' | 'frozen' | 'adapter'> {
    const frozen = this.#frozen ? { frozen: this.#frozen } : {};
    const adapter = this.#adapter ? { adapter: this.#adapter } : {};
    return { factors: new Map(), weightScale: 1, vectors: this.#state.vectors, ...frozen, ...adapter };
  }

  measure(losses: readonly number[]): Measurement {
    return measure(losses, this.#configuration);
  }

  update(applied: AppliedStep): void {
    this.#coefficients.update(this.#applier, applied);
  }

  updateAhead(step: PlannedStep): void {
    this.#applier.record([step], 0);
  }

  supply(applied: AppliedStep): void {
    this.#coefficients.supply(this.#applier, applied);
  }

  async replay(steps: readonly AppliedStep[], onProgress?: (done: number) => void): Promise<void> {
    await this.#coefficients.replay(this.#applier, steps, onProgress);
  }

  carried(): CarriedState {
    const curvatures = this.#weights.flatMap(({ dense }) => dense.logCurvature ?? []);
    return {
      numbers: this.#adaptive?.numbers ?? [],
      buffers: [
        { name: 'state', buffer: this.#state.buffer },
        ...(this.#direction === 'curved' ? [{ name: 'ln H of the state', buffer: this.#shape! }] : []),
        ...(this.#moments?.carried() ?? []),
        ...carriedWeights('curvature', curvatures),
        ...carriedWeights(
          'weight',
          this.#weights.map(({ weight }) => weight),
        ),
      ],
    };
  }

  carryOn(_step: number, bytes: CarriedBytes): void {
    this.#gpu.recorder.submit();
    writeCarried(this.carried(), bytes);
    if (this.#adaptive) this.#adaptive.numbers = bytes.numbers as [number, number];
  }

  /**
   * η ρ_k / K (ρ_k / K for moments), times what makes a step adaptive, HiZOO's curvature terms / K, then the rates of a
   * step; in f64, rounded to f32 once.
   */
  #coefficientsOf({ step, learningRate, projectedGradients, curvatures = [] }: AppliedStep): number[] {
    const { queries, weightDecay } = this.#configuration;
    const scale = this.#adaptive?.scaleOf(projectedGradients) ?? 1;
    const factor = (this.#moments ? 1 : learningRate) * scale;
    return [
      ...projectedGradients.map((rho) => (factor * rho) / queries),
      ...curvatures.map((curvature) => curvature / queries),
      learningRate * weightDecay,
      ...(this.#moments?.ratesOf(step, learningRate) ?? []),
    ];
  }

  /** The weights take consecutive steps in one launch each: a replay reads and writes them once for all of these. */
  #record(steps: readonly PlannedStep[], coefficientOffset: number): void {
    const coefficients = this.#coefficients.buffer;
    for (const { first, count } of consecutive(steps)) {
      const offset = coefficientOffset + first * this.#perStep;
      const of = { step: steps[first]!.step, steps: count, coefficients, offset, stride: this.#perStep };
      if (this.#moments) this.#moments.recordWeights(of);
      else this.#recordWeights(of);
    }
    for (const [index, { step, learningRate }] of steps.entries()) {
      this.#recordState(step, learningRate, coefficientOffset + index * this.#perStep);
    }
  }

  #recordWeights(of: ConsecutiveSteps): void {
    for (const { weight, dense } of this.#weights) {
      const { hessianSmoothing } = this.#configuration;
      recordDenseUpdate(this.#gpu, weight, dense, this.#noise, this.#direction, hessianSmoothing, of);
    }
  }

  #recordState(step: number, learningRate: number, offset: number): void {
    const { queries, weightDecay } = this.#configuration;
    const coefficients = this.#coefficients.buffer;
    if (this.#moments) {
      this.#moments.recordState({ step, learningRate, coefficients, offset });
      return;
    }
    const decay = 1 - learningRate * weightDecay;
    this.#state.update(step, { coefficients, offset, queries, decay }, this.#shape);
    if (this.#direction === 'curved') this.#recordCurvature(step, offset + queries);
  }

  /** Records the curvature of everything but the weights. It follows the update, which uses the probes' H. */
  #recordCurvature(step: number, coefficientOffset: number): void {
    const coefficients = { coefficients: this.#coefficients.buffer, coefficientOffset };
    const smoothing = this.#configuration.hessianSmoothing;
    for (const entry of this.#state.entries) {
      recordCurvature(this.#gpu, this.#shape!, entry, this.#noise, { step, ...coefficients, smoothing });
    }
  }

  get #noise(): DenseNoiseOfRun {
    return { seed: this.#seed, queries: this.#configuration.queries };
  }

  foldAll(): void {
    // The weights are up to date after every step.
  }

  vectorValues(): Promise<Map<string, Float32Array>> {
    return this.#state.values('vector');
  }

  adapterValues(): Promise<Map<string, Float32Array>> {
    return this.#state.values('adapter');
  }

  /** HiZOO: ln H of every parameter, by name; empty for the others. */
  async logCurvatures(): Promise<Map<string, Float32Array>> {
    const result = new Map<string, Float32Array>();
    if (this.#direction !== 'curved') return result;
    for (const { weight, dense } of this.#weights) {
      const { rows, columns, parts } = dense.logCurvature!;
      const data = await this.#gpu.recorder.read(parts.map(({ buffer }) => ({ buffer, bytes: buffer.size })));
      const values = new Float32Array(rows * columns);
      for (const [index, part] of data.entries()) values.set(new Float32Array(part), parts[index]!.rowStart * columns);
      result.set(weight.name, weight.layout ? withoutPads(weight.layout, values) : values);
    }
    const [data] = await this.#gpu.recorder.read([{ buffer: this.#shape!, bytes: this.#shape!.size }]);
    const values = new Float32Array(data!);
    for (const { name, offset, length } of this.#state.entries) {
      result.set(name, values.slice(offset, offset + length));
    }
    return result;
  }

  destroy(): void {
    // Work may be recorded still, where a step was given up; submitting it later would fail for want of these buffers.
    this.#gpu.recorder.submit();
    for (const { dense } of this.#weights) if (dense.logCurvature) destroyWeight(dense.logCurvature);
    this.#state.destroy();
    this.#shape?.destroy();
    this.#moments?.destroy();
    this.#scratch.destroy();
    this.#coefficients.destroy();
  }
}

/** The runs of steps that follow each other without a gap. */
function* consecutive(steps: readonly PlannedStep[]): Generator<{ first: number; count: number }> {
  for (let first = 0; first < steps.length; ) {
    let end = first + 1;
    while (end < steps.length && steps[end]!.step === steps[end - 1]!.step + 1) end++;
    yield { first, count: end - first };
    first = end;
  }
}
