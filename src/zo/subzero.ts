/**
 * SubZero in its factored form (arXiv 2410.08989; methods: docs/method.md).
 *
 * Within a period of F steps every 2-D weight is W + μ U S Vᵀ with W, U and V fixed. A probe moves S by ±εZ, an update moves S by −ηρZ, and
 * the base weight is only read. 1-D parameters carry dense noise. At the end of a period the change is folded into W once.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { spread } from '../gpu/recorder.ts';
import type { Model } from '../model/model.ts';
import { perElement } from '../ops/context.ts';
import { type LowRankFactors, type Probes, paddedRank } from '../ops/probes.ts';
import { NamedBuffers } from '../tensor/named-buffers.ts';
import { allocateState, layOutState, type StateEntry, type StateLayout } from '../tensor/state.ts';
import type { Weight } from '../tensor/weight.ts';
import type { TrainConfiguration } from '../train/configuration.ts';
import { orthonormalise } from './orthonormal.ts';
import { keyOfSeed, purposes, tensorId } from './philox.ts';

/** Steps whose coefficients are uploaded at once while replaying. */
const replayChunk = 1024;

/** The step of a run as the journal has it; everything that decides the update. */
export interface AppliedStep {
  /** Zero-based. */
  step: number;
  /** η, exactly an f32. */
  learningRate: number;
  /** ρ per query, each exactly an f32. */
  projectedGradients: readonly number[];
}

interface FactoredWeight {
  weight: Weight;
  tensor: number;
  factors: LowRankFactors;
}

export class SubZero {
  readonly #gpu: Gpu;
  readonly #configuration: TrainConfiguration;
  readonly #seed: readonly [number, number];
  readonly #layout: StateLayout;
  readonly #factored: FactoredWeight[] = [];
  readonly #vectors = new Map<string, number>();
  /** Element at which the S matrices start; vectors lie before. */
  readonly #factorStart: number;
  readonly #state: GpuBuffer;
  readonly #perturbed: GpuBuffer;
  readonly #blocks: GpuBuffer;
  readonly #probeTable: GpuBuffer;
  readonly #coefficients: GpuBuffer;
  readonly #scratch: NamedBuffers;
  readonly #factorMap = new Map<string, LowRankFactors>();
  /**
   * Decoupled weight decay on the base weights since the last fold. Kept in f64: near 1 an f32 step is 6e-8, as large as the decay of
   * one step at the learning rates of this method.
   */
  #weightScale = 1;
  /** The period whose factors are on the GPU; −1 before the first. */
  #period = -1;

  /**
   * Reserves factors and state for every 2-D weight and 1-D parameter of the model. The model's base weights change at each fold.
   */
  constructor(model: Model, configuration: TrainConfiguration) {
    const gpu = model.gpu;
    this.#gpu = gpu;
    this.#scratch = new NamedBuffers(gpu);
    this.#configuration = configuration;
    this.#seed = keyOfSeed(configuration.seed);
    const entries: StateEntry[] = [...model.vectors].map(([name, values]) => ({
      name,
      kind: 'vector',
      length: values.length,
      tensor: tensorId(name),
      trains: true,
    }));
    for (const weight of model.weights.values()) {
      const rank = Math.min(configuration.rank, weight.rows, weight.columns);
      entries.push({
        name: weight.name,
        kind: 'factor',
        length: rank * rank,
        tensor: tensorId(weight.name),
        trains: true,
      });
    }
    checkIdentities(entries);
    this.#layout = layOutState(entries);
    this.#state = allocateState(gpu, this.#layout, 'S and vectors');
    this.#factorStart = this.#layout.entries.find(({ kind }) => kind === 'factor')?.offset ?? this.#layout.size;
    for (const entry of this.#layout.entries) {
      if (entry.kind === 'vector') {
        this.#vectors.set(entry.name, entry.offset);
        this.#state.write(model.vectors.get(entry.name)!, entry.offset * 4);
        continue;
      }
      const weight = model.weights.get(entry.name)!;
      const rank = Math.sqrt(entry.length);
      const width = paddedRank(rank);
      const factors: LowRankFactors = {
        rank,
        u: gpu.allocate(weight.rows * width * 4, 'factors', `U of ${weight.name}`),
        vTransposed: gpu.allocate(weight.columns * width * 4, 'factors', `V of ${weight.name}`),
        scale: configuration.normAlignment ? Math.sqrt(weight.rows * weight.columns) / rank : 1,
        stateOffset: entry.offset,
      };
      this.#factored.push({ weight, tensor: entry.tensor, factors });
      this.#factorMap.set(weight.name, factors);
    }
    const probes = probeTable(configuration);
    this.#perturbed = allocateState(gpu, this.#layout, 'perturbed state', probes.length / 2);
    this.#blocks = gpu.allocate(this.#layout.blocks.byteLength, 'state', 'state blocks');
    this.#blocks.write(this.#layout.blocks);
    this.#probeTable = gpu.allocate(probes.byteLength, 'state', 'probe table');
    this.#probeTable.write(probes);
    this.#coefficients = gpu.allocate(replayChunk * configuration.queries * 4, 'state', 'coefficients');
  }

  /** Bytes of U, V and the state: what training holds beyond inference. */
  get factorBytes(): number {
    const factors = this.#factored.reduce((sum, { factors: { u, vTransposed } }) => sum + u.size + vTransposed.size, 0);
    return factors + this.#state.size + this.#perturbed.size;
  }

  /** The model as it stands: base weights and the change since the last fold. */
  get current(): Probes {
    return this.#probesOver(this.#state, 1, 0);
  }

  /**
   * Records what must happen before a step: at a multiple of F, fold the last period and draw the factors of the next.
   * @param step zero-based
   */
  beginStep(step: number): void {
    const period = Math.floor(step / this.#configuration.refresh);
    if (period === this.#period) return;
    if (this.#period >= 0) this.#fold();
    this.#period = period;
    this.#drawFactors();
  }

  /**
   * Records the perturbed states of a step.
   * @returns probes in the order +ε, −ε of query 0, +ε, −ε of query 1, … (two-sided); unperturbed, +ε of query 0, … (one-sided)
   */
  perturb(step: number): Probes {
    const blocks = this.#layout.size / 256;
    const count = this.#probeTable.size / 8;
    const [x, y] = spread(blocks);
    this.#gpu.recorder.dispatch(
      this.#gpu.kernel({
        files: ['random/philox.wgsl', 'zo/direction.wgsl', 'zo/perturb.wgsl'],
        constants: { DIRECTION: 0 },
      }),
      [this.#state, this.#blocks, this.#probeTable, this.#gpu.unused, this.#perturbed],
      { seed_low: this.#seed[0], seed_high: this.#seed[1], step, block_count: blocks, first_probe: 0 },
      [x, y, count],
    );
    return this.#probesOver(this.#perturbed, count, this.#layout.size);
  }

  /** Submits the update of one step: S and 1-D parameters ← decay − (η/K) Σ ρ_k z_k. */
  update(applied: AppliedStep): void {
    this.#coefficients.write(this.#coefficientsOf(applied));
    this.#recordUpdate(applied, 0);
    // Uploads overtake what is only recorded: the next update's coefficients must not reach this one.
    this.#gpu.recorder.submit();
  }

  /**
   * Applies steps of a journal without any forward pass: the same kernels with the same numbers, so the same bits.
   * @param onProgress told the number of steps applied, between submissions
   */
  async replay(steps: readonly AppliedStep[], onProgress?: (done: number) => void): Promise<void> {
    const { queries } = this.#configuration;
    for (let start = 0; start < steps.length; start += replayChunk) {
      const chunk = steps.slice(start, start + replayChunk);
      const coefficients = new Float32Array(chunk.length * queries);
      for (const [index, applied] of chunk.entries()) coefficients.set(this.#coefficientsOf(applied), index * queries);
      this.#coefficients.write(coefficients);
      for (const [index, applied] of chunk.entries()) {
        this.beginStep(applied.step);
        this.#recordUpdate(applied, index * queries);
      }
      this.#gpu.recorder.submit();
      await this.#gpu.idle();
      onProgress?.(start + chunk.length);
    }
  }

  /** η ρ_k / K, in f64 and rounded to f32 once. */
  #coefficientsOf({ learningRate, projectedGradients }: AppliedStep): Float32Array {
    return Float32Array.from(projectedGradients, (rho) => (learningRate * rho) / this.#configuration.queries);
  }

  #recordUpdate({ step, learningRate }: AppliedStep, coefficientOffset: number): void {
    const decay = 1 - learningRate * this.#configuration.weightDecay;
    this.#weightScale *= decay;
    const blocks = this.#layout.size / 256;
    this.#gpu.recorder.dispatch(
      this.#gpu.kernel({
        files: ['random/philox.wgsl', 'zo/direction.wgsl', 'zo/update.wgsl'],
        constants: { DIRECTION: 0 },
      }),
      [this.#state, this.#blocks, this.#coefficients, this.#gpu.unused],
      {
        seed_low: this.#seed[0],
        seed_high: this.#seed[1],
        step,
        queries: this.#configuration.queries,
        block_count: blocks,
        coefficient_offset: coefficientOffset,
        decay,
      },
      spread(blocks),
    );
  }

  #probesOver(state: GpuBuffer, count: number, stride: number): Probes {
    return {
      count,
      state,
      stateStride: stride,
      factors: this.#factorMap,
      weightScale: this.#weightScale,
      vectors: this.#vectors,
    };
  }

  /** Draws U and V of the current period: Q factors of seeded Gaussian matrices (methods.md §1, point 1). */
  #drawFactors(): void {
    for (const { weight, tensor, factors } of this.#factored) {
      const width = paddedRank(factors.rank);
      this.#drawOrthonormal(factors.u, tensor, purposes.omegaU, weight.rows, factors.rank, width, 1);
      this.#drawOrthonormal(
        factors.vTransposed,
        tensor,
        purposes.omegaV,
        weight.columns,
        factors.rank,
        1,
        weight.columns,
      );
    }
  }

  #drawOrthonormal(
    buffer: GpuBuffer,
    tensor: number,
    purpose: number,
    rows: number,
    columns: number,
    rowStride: number,
    columnStride: number,
  ): void {
    const { recorder } = this.#gpu;
    const shape = { rows, columns, row_stride: rowStride, column_stride: columnStride };
    recorder.dispatch(
      this.#gpu.kernel({ files: ['random/philox.wgsl', 'random/gaussian-matrix.wgsl'] }),
      [buffer],
      { seed_low: this.#seed[0], seed_high: this.#seed[1], tensor, period: this.#period, purpose, ...shape },
      perElement(Math.ceil((rows * columns) / 4)),
    );
    orthonormalise(this.#gpu, { buffer, rows, columns, rowStride, columnStride }, this.#scratch);
  }

  /** Folds the change of the period into the base weights and zeroes every S. */
  #fold(): void {
    const { recorder } = this.#gpu;
    for (const { weight, tensor, factors } of this.#factored) {
      const kernel = this.#gpu.kernel({
        files: ['random/philox.wgsl', `weights/${weight.storage}.wgsl`, 'zo/fold.wgsl'],
        constants: { STORAGE_BITS: weight.storage === 'f32' ? 32 : weight.storage === 'f16' ? 16 : 17 },
      });
      for (const part of weight.parts) {
        recorder.dispatch(
          kernel,
          [factors.u, factors.vTransposed, this.#state, part.buffer],
          {
            width_quads: weight.columns / 4,
            row_start: part.rowStart,
            part_rows: part.rowCount,
            rank: factors.rank,
            rank_quads: paddedRank(factors.rank) / 4,
            state_offset: factors.stateOffset,
            scale: factors.scale,
            weight_scale: this.#weightScale,
            seed_low: this.#seed[0],
            seed_high: this.#seed[1],
            tensor,
            period: this.#period,
          },
          spread(part.rowCount),
        );
      }
    }
    if (this.#factorStart < this.#layout.size) recorder.clear(this.#state, this.#factorStart * 4);
    this.#weightScale = 1;
  }

  /** Folds what is open, so that the model's base weights and {@link vectorValues} are the trained model. The run cannot go on. */
  foldAll(): void {
    if (this.#period >= 0) this.#fold();
  }

  /** The 1-D parameters as they stand, by name. */
  async vectorValues(): Promise<Map<string, Float32Array>> {
    const vectors = this.#layout.entries.filter(({ kind }) => kind === 'vector');
    const data = await this.#gpu.recorder.read(
      vectors.map(({ offset, length }) => ({ buffer: this.#state, offset: offset * 4, bytes: length * 4 })),
    );
    return new Map(vectors.map(({ name }, index) => [name, new Float32Array(data[index]!)]));
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
      const { rank, scale } = factors;
      const width = paddedRank(rank);
      const [u, s, vTransposed] = await this.#gpu.recorder.read([
        { buffer: factors.u, bytes: weight.rows * width * 4 },
        { buffer: this.#state, offset: factors.stateOffset * 4, bytes: rank * rank * 4 },
        { buffer: factors.vTransposed, bytes: weight.columns * rank * 4 },
      ]);
      const padded = new Float32Array(u!);
      const transposed = new Float32Array(vTransposed!);
      yield {
        weight,
        rank,
        scale,
        u: Float32Array.from(
          { length: weight.rows * rank },
          (_, i) => padded[Math.floor(i / rank) * width + (i % rank)]!,
        ),
        s: new Float32Array(s!),
        v: Float32Array.from(
          { length: weight.columns * rank },
          (_, i) => transposed[(i % rank) * weight.columns + Math.floor(i / rank)]!,
        ),
      };
    }
  }

  destroy(): void {
    // Work may be recorded still, where a step was given up; submitting it later would fail for want of these buffers.
    this.#gpu.recorder.submit();
    this.#scratch.destroy();
    for (const { factors } of this.#factored) {
      factors.u.destroy();
      factors.vTransposed.destroy();
    }
    for (const buffer of [this.#state, this.#perturbed, this.#blocks, this.#probeTable, this.#coefficients])
      buffer.destroy();
  }
}

/** (scale as f32 bits, query) per probe. */
function probeTable({ epsilon, queries, sides }: TrainConfiguration): Uint32Array {
  const rows: [number, number][] = sides === 1 ? [[0, 0]] : [];
  for (let query = 0; query < queries; query++) {
    rows.push([epsilon, query]);
    if (sides === 2) rows.push([-epsilon, query]);
  }
  const table = new Uint32Array(rows.length * 2);
  const scales = new Float32Array(table.buffer);
  for (const [index, [scale, query]] of rows.entries()) {
    scales[index * 2] = scale;
    table[index * 2 + 1] = query;
  }
  return table;
}

/**
 * ρ per query from the losses of the probes (methods.md §1, point 4), rounded to the f32 that the journal keeps.
 * @param losses in the order of {@link SubZero.perturb}
 */
export function projectedGradients(
  losses: readonly number[],
  { epsilon, queries, sides }: TrainConfiguration,
): number[] {
  return Array.from({ length: queries }, (_, query) =>
    Math.fround(
      sides === 2
        ? (losses[2 * query]! - losses[2 * query + 1]!) / (2 * epsilon)
        : (losses[query + 1]! - losses[0]!) / epsilon,
    ),
  );
}

/** Two tensors with the same identity would draw the same noise. */
function checkIdentities(entries: readonly StateEntry[]): void {
  const seen = new Map<number, string>();
  for (const { tensor, name } of entries) {
    const other = seen.get(tensor);
    if (other !== undefined) throw new Error(`the names "${other}" and "${name}" hash to the same tensor identity`);
    seen.set(tensor, name);
  }
}
