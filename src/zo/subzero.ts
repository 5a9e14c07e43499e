/**
 * SubZero in its factored form (arXiv 2410.08989), and SubZero+ (2608.15665), its update by Adam; docs/method.md.
 *
 * Within a period of F steps every 2-D weight is W + μ U S Vᵀ with W, U and V fixed. A probe moves S by ±εZ, an update
 * moves S by −ηρZ, and the base weight is only read. 1-D parameters carry dense noise. At the end of a period the
 * change is folded into W once, or kept beside it in a bank (bank.ts).
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { widestActivation } from '../model/forward.ts';
import type { Model } from '../model/model.ts';
import { sharedInputs } from '../model/parameters.ts';
import { factorBytes, factorValues, placeFactor } from '../ops/factors.ts';
import { recordFold } from '../ops/fold.ts';
import { recordGaussianMatrix } from '../ops/gaussian-matrix.ts';
import { orthonormalise, reserveOrthonormal, type StridedMatrix } from '../ops/orthonormal.ts';
import {
  type AdapterShape,
  factorWidth,
  type LowRankFactors,
  type Probes,
  paddedRank,
  type StackedFactors,
} from '../ops/probes.ts';
import { keyOfSeed, purposes } from '../random/philox.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { meansOf } from '../settings/methods.ts';
import { type Axis, axisLength, plainAxis, quadAxis, storedIndex, storedLength } from '../tensor/axis.ts';
import { NamedBuffers } from '../tensor/named-buffers.ts';
import { layoutOf, shapeOf, type Weight } from '../tensor/weight.ts';
import { adapterBytes, mostSquare } from '../tuning/adapter.ts';
import { type Tuning, wholeModel } from '../tuning/tuning.ts';
import { parameter, words } from '../words.ts';
import { Adam } from './adam.ts';
import { AdaptiveStep } from './adaptive-step.ts';
import { alignedGradients, directionProducts } from './alignment.ts';
import { Bank, type BankLoss } from './bank.ts';
import { checkFactors } from './binding-limits.ts';
import { type CarriedBytes, type CarriedState, carriedWeights, writeCarried } from './carried-state.ts';
import { changeOf } from './change.ts';
import { FactoredAdapters } from './factored-adapters.ts';
import type { LowRank } from './low-rank.ts';
import type { AppliedStep, Measurement, PlannedStep, ZerothOrderOptimizer } from './optimizer.ts';
import { measure, probePoints } from './probe-points.ts';
import { Coefficients, type StepApplier } from './replay.ts';
import { placeStacks, stackedFactors } from './stacked-factors.ts';
import {
  allocateSubspace,
  type BankShape,
  type MatrixShape,
  placeTogether,
  rankOf,
  type Subspace,
} from './subspace.ts';
import { checkIdentities, frozenVectors, TrainedState } from './trained-state.ts';

/** The bank of a weight; the kernels of experts read factors in f32. */
function bankOf(weight: Weight | undefined, shape: BankShape): BankShape | undefined {
  return weight?.stack ? { ...shape, storage: 'f32' } : weight && shape;
}

interface FactoredWeight extends Subspace {
  weight: Weight;
}

export class SubZero implements ZerothOrderOptimizer {
  readonly #gpu: Gpu;
  readonly #configuration: TrainConfiguration;
  readonly #seed: readonly [number, number];
  readonly #factored: FactoredWeight[] = [];
  /** Subspaces of weights and of adapter tensors. */
  readonly #subspaces: readonly Subspace[];
  /** All U and V, of which some share a buffer, and where the S of stacks lie. */
  readonly #buffers: ReadonlySet<GpuBuffer>;
  readonly #state: TrainedState;
  readonly #adam: Adam | undefined;
  readonly #adaptive: AdaptiveStep | undefined;
  readonly #coefficients: Coefficients;
  readonly #applier: StepApplier;
  readonly #scratch: NamedBuffers;
  readonly #factorMap = new Map<string, LowRankFactors>();
  readonly #stacks: ReadonlyMap<string, StackedFactors>;
  readonly #frozen: Probes['frozen'];
  readonly #adapter: AdapterShape | undefined;
  readonly #adapters: FactoredAdapters | undefined;
  readonly #bank: Bank | undefined;
  /** Whether the bank has the change of the last period already. */
  #renewed = false;
  /** The adapter tensors of {@link current}, made anew after a change. */
  #made: Probes['made'];
  /**
   * Decoupled weight decay on the base weights since the last fold, or with a bank since the first step. Kept in f64:
   * near 1 an f32 step is 6e-8, as large as the decay of one step at the learning rates of this method.
   */
  #weightScale = 1;
  /** The same on what the bank has, since it took a period in. */
  #bankScale = 1;
  /** The period whose factors are on the GPU; −1 before the first. */
  #period = -1;

  /**
   * Reserves factors and state for the 2-D weights and 1-D parameters that train. Those weights of the model change at
   * each fold, unless a bank keeps the change.
   * @throws SubzeroError as `changeOf` and `checkFactors`
   */
  constructor(model: Model, configuration: TrainConfiguration, tuning: Tuning = wholeModel(model)) {
    const gpu = model.gpu;
    this.#gpu = gpu;
    this.#scratch = new NamedBuffers(gpu);
    this.#configuration = configuration;
    this.#seed = keyOfSeed(configuration.seed);
    const { weights, vectors, adapter } = tuning;
    const tensors = adapter?.tensors ?? [];
    checkIdentities([...vectors.keys(), ...weights.keys(), ...tensors.map(({ name }) => name)]);
    this.#frozen = frozenVectors(model, tuning);
    this.#adapter = adapter;
    const matrices = new Map<string, Omit<MatrixShape, 'name'>>([
      ...weights,
      ...tensors.map(({ name, values, shape }) => {
        const [rows, columns] = configuration.reshape ? mostSquare(values.length) : shape;
        return [name, { rows, columns }] as const;
      }),
    ]);
    const bankShape: BankShape | undefined =
      changeOf(configuration, weights.values()) === 'bank'
        ? { columns: paddedRank(configuration.bankRank), storage: configuration.bankStorage }
        : undefined;
    for (const weight of weights.values()) checkFactors(gpu, configuration.rank, weight, bankShape);
    this.#state = new TrainedState(gpu, {
      vectors,
      factors: [...matrices].map(([name, matrix]) => ({
        name,
        length: rankOf(configuration, ...shapeOf(matrix)) ** 2,
      })),
      otherBytes: adapterBytes(tensors),
      points: probePoints(configuration),
      seed: this.#seed,
      direction: 'plain',
      lean: configuration.memory > 0,
    });
    this.#checkAligned();
    const stacked = placeStacks(gpu, configuration, weights, bankShape?.columns ?? 0);
    const places = new Map([
      ...stacked,
      ...sharedInputs(model.decoder).flatMap((linears) => {
        const trained = linears.flatMap(({ weight }) => weights.get(weight) ?? []);
        return [...placeTogether(gpu, configuration, trained, widestActivation(model), bankShape)];
      }),
    ]);
    const subspaces = new Map<string, Subspace>();
    for (const entry of this.#state.entries) {
      if (entry.kind !== 'factor') continue;
      const place = places.get(entry.name);
      const matrix = matrices.get(entry.name)!;
      const bank = bankShape && bankOf(weights.get(entry.name), bankShape);
      subspaces.set(entry.name, allocateSubspace(gpu, configuration, entry, matrix, place, bank));
    }
    for (const weight of weights.values()) {
      const subspace = subspaces.get(weight.name)!;
      this.#factored.push({ weight, ...subspace });
      this.#factorMap.set(weight.name, subspace.factors);
    }
    this.#stacks = stackedFactors(gpu, weights, this.#factorMap);
    if (bankShape) this.#bank = new Bank(gpu, configuration.bankRank, this.#factored);
    if (tensors.length > 0) {
      const { probesAtOnce } = this.#state;
      const placed = tensors.map((tensor) => ({ ...tensor, subspace: subspaces.get(tensor.name)! }));
      this.#adapters = new FactoredAdapters(gpu, placed, probesAtOnce);
    }
    this.#subspaces = [...subspaces.values()];
    this.#buffers = new Set([
      ...this.#subspaces.flatMap(({ factors: { u, vTransposed } }) => [u, vTransposed]),
      ...[...this.#stacks.values()].map(({ stateOffsets }) => stateOffsets),
    ]);
    if (meansOf(configuration) === 'adam') {
      this.#adam = new Adam(gpu, this.#state, configuration, {
        unitOf: (name) => 1 / subspaces.get(name)!.factors.scale,
      });
    }
    if (configuration.adaptiveStep) this.#adaptive = new AdaptiveStep(configuration.adaptiveDecay);
    this.#coefficients = new Coefficients(gpu, configuration.queries);
    this.#applier = {
      coefficientsOf: (applied) => this.#coefficientsOf(applied),
      renewsAt: (step) => this.#bank !== undefined && step % configuration.refresh === 0,
      renew: (step) => this.renew(step),
      record: (steps, offset) => {
        for (const [index, applied] of steps.entries()) {
          this.beginStep(applied.step);
          this.#recordUpdate(applied, offset + index * configuration.queries);
        }
      },
    };
  }

  get probeCount(): number {
    return this.#state.points.length;
  }

  get probesAtOnce(): number {
    return this.#state.probesAtOnce;
  }

  get probeBytes(): number {
    return this.#state.probeBytes + (this.#adapters?.probeBytes ?? 0);
  }

  reserveProbes(count: number): void {
    this.#state.reserveProbes(count);
    this.#adapters?.reserveProbes(this.#state.probesAtOnce);
  }

  reserveScratch(_bytes: number): void {
    // Passes need none: perturbed weights are never made.
  }

  /** Bytes of what QR decompositions work in, of coefficients and tables. */
  get scratchBytes(): number {
    return this.#scratch.bytes + this.#coefficients.buffer.size + this.#state.tableBytes;
  }

  /** Bytes of U, V, the state and, of SubZero+, Adam's moments: what training holds beyond inference. */
  get factorBytes(): number {
    const wholes = new Set([...this.#buffers].map(({ whole }) => whole));
    const factors = [...wholes].reduce((sum, { size }) => sum + size, 0);
    return factors + this.#state.bytes + (this.#adapters?.bytes ?? 0) + (this.#adam?.bytes ?? 0);
  }

  /** The model as it stands: base weights and the change since the last fold. */
  get current(): Probes {
    const made = this.#made ?? this.#adapters?.makeCurrent(this.#state.buffer, this.#weightScale);
    if (!this.#gpu.recorder.rehearsing) this.#made = made;
    return this.#probesOver(this.#state.buffer, 1, 0, made);
  }

  /** Whether its change lies in a bank, so that it never writes the weights. */
  get hasBank(): boolean {
    return this.#bank !== undefined;
  }

  get bankLoss(): BankLoss | undefined {
    return this.#bank?.loss;
  }

  /** The first step of a period does, where the bank must take the one before. */
  waits(step: number): boolean {
    return this.#bank !== undefined && !this.#renewed && this.#period >= 0 && this.#periodOf(step) !== this.#period;
  }

  async renew(step: number): Promise<void> {
    if (!this.waits(step)) return;
    await this.#bank!.take(this.#state.buffer, this.#bankScale);
    this.#state.clearFactors();
    this.#bankScale = 1;
    this.#renewed = true;
  }

  #periodOf(step: number): number {
    return Math.floor(step / this.#configuration.refresh);
  }

  /**
   * Records what must happen before a step: at a multiple of F, fold the last period and draw the factors of the next.
   * @param step zero-based
   */
  beginStep(step: number): void {
    const period = this.#periodOf(step);
    if (period === this.#period) return;
    if (this.waits(step)) throw new Error(`step ${step} begins a period; renew must come before`);
    if (this.#period >= 0 && !this.#bank) this.#fold();
    this.#renewed = false;
    this.#period = period;
    this.#drawFactors();
    // Moments belong to the coordinates of the old subspace.
    this.#adam?.forgetFactors();
  }

  perturb(step: number, first = 0, count = this.probeCount - first): Probes {
    this.#state.perturb(step, first, count);
    const { perturbed: state, size: stride } = this.#state;
    const made = this.#adapters?.make({ state, count, stride }, this.#weightScale);
    return this.#probesOver(state, count, stride, made);
  }

  measure(losses: readonly number[], step: number): Measurement {
    const { seed, queries, queryCombination } = this.#configuration;
    const measured = measure(losses, this.#configuration);
    if (queryCombination !== 'aligned') return measured;
    const products = directionProducts(this.#state.entries, { seed, step, queries });
    return { ...measured, alignedGradients: alignedGradients(measured.projectedGradients, products, this.#dimension) };
  }

  /** The numbers that train: those of 1-D parameters and of every S. */
  get #dimension(): number {
    return this.#state.entries.reduce((sum, { length }) => sum + length, 0);
  }

  /** @throws SubzeroError `invalid_argument` for more directions to align than there are dimensions */
  #checkAligned(): void {
    const { queries, queryCombination } = this.#configuration;
    if (queryCombination !== 'aligned' || queries <= this.#dimension) return;
    const aligned = words`${parameter('queryCombination')} aligned`;
    const problem = words`${parameter('queries')} must be at most ${this.#dimension} with ${aligned}`;
    throw new SubzeroError('invalid_argument', words`${problem}, the numbers that train; got ${queries}`, {
      parameter: 'queries',
    });
  }

  /**
   * Records the update of one step: S and 1-D parameters ← decay − (η/K) Σ ρ_k z_k, or Adam's step along that gradient.
   */
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
    const factors = new Set(this.#factored.flatMap(({ factors: { u, vTransposed } }) => [u, vTransposed]));
    return {
      numbers: [
        ...[this.#weightScale, this.#bankScale],
        ...(this.#adaptive?.numbers ?? []),
        ...(this.#bank?.numbers ?? []),
      ],
      buffers: [
        { name: 'state', buffer: this.#state.buffer },
        ...(this.#adam?.carried() ?? []),
        ...(this.#adapters?.carried() ?? []),
        ...(this.#bank
          ? [...factors].map((buffer) => ({ name: buffer.label, buffer }))
          : carriedWeights(
              'weight',
              this.#factored.map(({ weight }) => weight),
            )),
      ],
    };
  }

  carryOn(step: number, bytes: CarriedBytes): void {
    this.#made = undefined;
    this.#renewed = false;
    this.#period = this.#periodOf(step);
    // Those of a bank are written over with themselves.
    this.#drawFactors();
    this.#gpu.recorder.submit();
    writeCarried(this.carried(), bytes);
    const [weightScale, bankScale, ...others] = bytes.numbers as [number, number, ...number[]];
    [this.#weightScale, this.#bankScale] = [weightScale, bankScale];
    if (this.#adaptive) this.#adaptive.numbers = others.splice(0, 2) as [number, number];
    if (this.#bank) this.#bank.numbers = others;
  }

  /**
   * η ρ_k / K, or ρ_k / K for Adam, with what alignment has in the place of ρ, times what makes a step adaptive; in f64
   * and rounded to f32 once.
   */
  #coefficientsOf({ learningRate, projectedGradients, alignedGradients: aligned }: AppliedStep): number[] {
    const scale = this.#adaptive?.scaleOf(projectedGradients) ?? 1;
    const factor = (this.#adam ? 1 : learningRate) * scale;
    return (aligned ?? projectedGradients).map((rho) => (factor * rho) / this.#configuration.queries);
  }

  #recordUpdate({ step, learningRate }: PlannedStep, offset: number): void {
    const { queries, refresh, weightDecay } = this.#configuration;
    const decay = 1 - learningRate * weightDecay;
    this.#weightScale *= decay;
    this.#bankScale *= decay;
    this.#made = undefined;
    const coefficients = this.#coefficients.buffer;
    if (this.#adam) {
      this.#adam.recordUpdate({ step, stepOfPeriod: step % refresh, learningRate, decay, coefficients, offset });
    } else {
      this.#state.update(step, { coefficients, offset, queries, decay });
    }
  }

  #probesOver(state: GpuBuffer, count: number, stride: number, made: Probes['made']): Probes {
    return {
      count,
      state,
      stateStride: stride,
      factors: this.#factorMap,
      stacks: this.#stacks,
      weightScale: this.#weightScale,
      ...(this.#bank ? { bankScale: this.#bankScale } : {}),
      vectors: this.#state.vectors,
      ...(this.#frozen ? { frozen: this.#frozen } : {}),
      ...(this.#adapter ? { adapter: this.#adapter } : {}),
      ...(made ? { made } : {}),
    };
  }

  /** Draws U and V of the current period: Q factors of seeded Gaussian matrices (docs/method.md, point 1). */
  #drawFactors(): void {
    const plainBytes = Math.max(
      ...this.#subspaces.map(({ rows, columns, factors: { rank } }) => Math.max(rows, columns) * rank * 4),
    );
    const sizes = this.#subspaces.flatMap(({ rows, columns, factors: { rank } }) => [
      { rows, columns: rank },
      { rows: columns, columns: rank },
    ]);
    reserveOrthonormal(sizes, this.#scratch);
    for (const subspace of this.#subspaces) {
      const { tensor, rows, columns, layout, factors } = subspace;
      const { rank, u, vTransposed, vRow } = factors;
      const ofU = { rows, columns: rank, columnStride: 1 };
      const ofV = { rows: columns, columns: rank, rowStride: 1, columnStride: columns };
      if (!layout && !factors.storage) {
        const start = vRow * columns;
        this.#drawOrthonormal(tensor, purposes.omegaU, {
          ...ofU,
          buffer: u,
          rowStride: factorWidth(factors),
          start: 0,
        });
        this.#drawOrthonormal(tensor, purposes.omegaV, { ...ofV, buffer: vTransposed, start });
        continue;
      }
      const gpu = this.#gpu;
      const { storage = 'f32' } = factors;
      const sides = layout ?? { rows: plainAxis(rows), columns: plainAxis(columns) };
      const from = this.#scratch.ensure('factors without pads', plainBytes);
      const drawn = { buffer: from, start: 0 };
      this.#drawOrthonormal(tensor, purposes.omegaU, { ...ofU, ...drawn, rowStride: rank });
      const toU = { buffer: u, start: 0, stride: factorWidth(factors) };
      placeFactor(gpu, from, { rows: sides.rows, columns: quadAxis(rank) }, storage, toU);
      this.#drawOrthonormal(tensor, purposes.omegaV, { ...ofV, ...drawn });
      const width = storedLength(sides.columns);
      const toV = { buffer: vTransposed, start: vRow * width, stride: width };
      placeFactor(gpu, from, { rows: plainAxis(rank), columns: sides.columns }, storage, toV);
    }
  }

  #drawOrthonormal(tensor: number, purpose: number, matrix: StridedMatrix): void {
    recordGaussianMatrix(this.#gpu, matrix, { seed: this.#seed, tensor, period: this.#period, purpose });
    orthonormalise(this.#gpu, matrix, this.#scratch);
  }

  /** Folds the change of the period into the base weights and zeroes every S. */
  #fold(): void {
    const shared = {
      state: this.#state.buffer,
      weightScale: this.#weightScale,
      seed: this.#seed,
      period: this.#period,
    };
    for (const { weight, tensor, factors } of this.#factored)
      recordFold(this.#gpu, { weight, tensor, factors, ...shared });
    this.#adapters?.fold(this.#state.buffer, this.#weightScale);
    this.#state.clearFactors();
    this.#weightScale = 1;
  }

  /** With a bank the base weights stay as they are; {@link bankedChange} says what becomes of them. */
  foldAll(): void {
    if (this.#period >= 0 && !this.#bank) this.#fold();
  }

  /**
   * The change of a weight beside what is stored, without pads; `undefined` without a bank, or for a weight that does
   * not train.
   * @param name of the weight
   * @returns with the factor on what is stored: 1 without weight decay
   */
  async bankedChange(name: string): Promise<(LowRank & { baseScale: number }) | undefined> {
    const banked = this.#factored.find(({ weight }) => weight.name === name);
    const change = banked && (await this.#bank?.change(banked, this.#state.buffer, this.#bankScale));
    if (!change) return undefined;
    const { rows, columns } = layoutOf(banked.weight);
    const plain = (axis: Axis) => (vector: Float64Array) =>
      Float64Array.from({ length: axisLength(axis) }, (_, index) => vector[storedIndex(axis, index)]!);
    const [left, right] = [change.left.map(plain(rows)), change.right.map(plain(columns))];
    return { left, right, baseScale: this.#weightScale };
  }

  vectorValues(): Promise<Map<string, Float32Array>> {
    return this.#state.values('vector');
  }

  async adapterValues(): Promise<Map<string, Float32Array>> {
    return (await this.#adapters?.values(this.#state.buffer, this.#weightScale)) ?? new Map();
  }

  /** U [rows, rank], S [rank, rank], V [columns, rank] and μ of every factored weight, for an adapter export. */
  async *factors(): AsyncGenerator<{
    weight: Weight;
    rank: number;
    scale: number;
    u: Float32Array;
    s: Float32Array;
    v: Float32Array;
  }> {
    for (const { weight, factors } of this.#factored) {
      const { rank, scale, storage = 'f32' } = factors;
      const unit = factorBytes[storage];
      const width = factorWidth(factors);
      const [rows, columns] = shapeOf(weight);
      const layout = layoutOf(weight);
      const [u, s, vTransposed] = await this.#gpu.recorder.read([
        { buffer: factors.u, bytes: weight.rows * width * unit },
        { buffer: this.#state.buffer, offset: factors.stateOffset * 4, bytes: rank * rank * 4 },
        {
          buffer: factors.vTransposed,
          offset: factors.vRow * weight.columns * unit,
          bytes: weight.columns * rank * unit,
        },
      ]);
      const padded = factorValues(storage, new Uint8Array(u!));
      const transposed = factorValues(storage, new Uint8Array(vTransposed!));
      yield {
        weight,
        rank,
        scale,
        u: Float32Array.from(
          { length: rows * rank },
          (_, i) => padded[storedIndex(layout.rows, Math.floor(i / rank)) * width + (i % rank)]!,
        ),
        s: new Float32Array(s!),
        v: Float32Array.from(
          { length: columns * rank },
          (_, i) => transposed[(i % rank) * weight.columns + storedIndex(layout.columns, Math.floor(i / rank))]!,
        ),
      };
    }
  }

  destroy(): void {
    // Work may be recorded still, where a step was given up; submitting it later would fail for want of these buffers.
    this.#gpu.recorder.submit();
    this.#scratch.destroy();
    for (const buffer of this.#buffers) buffer.destroy();
    this.#adapters?.destroy();
    this.#state.destroy();
    this.#adam?.destroy();
    this.#coefficients.destroy();
  }
}
