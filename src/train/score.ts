/**
 * Scoring examples: one packed forward pass for all probes, log-probabilities read back and summed in f64 on the CPU.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { SubzeroError } from '../errors.ts';
import type { ReadRequest } from '../gpu/recorder.ts';
import { batchRows, type ExampleTargets, exampleRows, packExamples } from '../model/batch.ts';
import { checkTargetIds } from '../model/batch-ids.ts';
import { recurrents, windowOf } from '../model/decoder.ts';
import { forward, widestActivation } from '../model/forward.ts';
import { scoreTargets, scoreTargetsScratch } from '../model/head.ts';
import type { Model } from '../model/model.ts';
import { runsBytes } from '../model/runs.ts';
import { uploadBatch } from '../model/upload-batch.ts';
import { ropeRowsBytes } from '../model/upload-positions.ts';
import type { ExampleScore } from '../objectives/loss.ts';
import type { OperationContext } from '../ops/context.ts';
import type { Probes } from '../ops/probes.ts';
import { EmptyBuffers, NamedBuffers, namedBufferBytes } from '../tensor/named-buffers.ts';
import { SizingWorkspace } from '../tensor/sizing-workspace.ts';
import { Workspace } from '../tensor/workspace.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';

/** A pass before its end. */
export interface RecordedPass {
  /** All probes counted. */
  rows: number;
  results: readonly ReadRequest[];
  /** One list per probe, in the order of the examples. */
  scoresOf(results: readonly ArrayBuffer[]): ExampleScore[][];
}

/** What passes over some examples need, at most. */
export interface PassShape {
  /** Rows of the largest example under one probe. */
  largest: number;
  /** Label rows per row, and scored tokens per row. */
  labelsPerRow: number;
  targetsPerRow: number;
}

/** The shape of any passes over these examples, however they are packed. */
export function passShape(examples: Iterable<TokenizedExample>): PassShape {
  const shape: PassShape = { largest: 0, labelsPerRow: 0, targetsPerRow: 0 };
  for (const example of examples) {
    const { batch } = packExamples([example]);
    const rows = batch.ids.length;
    shape.largest = Math.max(shape.largest, rows);
    // A prompt alone has no label row; buffers have room for one.
    shape.labelsPerRow = Math.max(shape.labelsPerRow, Math.max(1, batch.labelRows.length) / rows);
    shape.targetsPerRow = Math.max(shape.targetsPerRow, Math.max(1, batch.targets.length / 2) / rows);
  }
  return shape;
}

/** Where the probes of a step come from, some at a time. */
export type ProbeSource = Pick<ZerothOrderOptimizer, 'probeCount' | 'probesAtOnce' | 'perturb'>;

/** Rows of passes that do not fill the reserved ones, as the last of a batch: they may take other kernels. */
const smallerPasses = [512, 64, 8];

export class Scorer {
  readonly #model: Model;
  readonly #workspace: Workspace;
  readonly #buffers: NamedBuffers;
  #maxRows: number;
  /** Rows passed through the model so far, all probes counted. */
  rows = 0;

  /** @param maxRows cut to what one storage binding holds */
  constructor(model: Model, maxRows: number) {
    this.#model = model;
    this.#workspace = new Workspace(model.gpu);
    this.#buffers = new NamedBuffers(model.gpu);
    const binding = model.gpu.bindingLimit;
    this.#maxRows = Math.min(maxRows, Math.floor(binding / 4 / widestActivation(model)));
  }

  /** Most rows (all probes together) of one pass. */
  get maxRows(): number {
    return this.#maxRows;
  }

  /**
   * Reserves memory for passes of so many rows in all and makes none larger, so that nothing is allocated later.
   * @param rows cut to {@link maxRows}
   * @param shape of the examples to come
   */
  reserve(rows: number, shape: PassShape): void {
    this.#maxRows = Math.min(rows, this.#maxRows);
    this.#workspace.reserve(this.#maxRows);
    for (const [name, bytes] of this.#inputs(this.#maxRows, shape)) this.#buffers.ensure(name, bytes);
  }

  /**
   * Bytes of activations that passes take where so many rows are reserved. Kernels that share out a small result want
   * memory of their own besides, so passes of several sizes are rehearsed.
   * @param probes those that passes will have
   */
  activationBytesFor(rows: number, probes: () => Probes[]): number {
    const { gpu, plans } = this.#model;
    const workspace = new SizingWorkspace(gpu, rows);
    const { unused } = gpu;
    gpu.recorder.rehearse(() => {
      for (const each of probes()) {
        for (const count of [rows, ...smallerPasses.filter((size) => size < rows)]) {
          const context: OperationContext = { gpu, workspace, probes: each, plans };
          const hidden = forward(this.#model, context, {
            ...{ ids: unused, positions: unused, tokenTypes: unused, ranges: unused, windowRanges: unused },
            ...{ rows: count, labelRows: unused, labelCount: count, runs: { table: unused, ofRows: unused, count: 1 } },
          });
          scoreTargets(this.#model, context, hidden, { buffer: unused, count: 1 }, new EmptyBuffers(gpu));
          workspace.give(hidden);
        }
      }
    });
    return workspace.bytes;
  }

  /** Bytes of activations held. */
  get activationBytes(): number {
    return this.#workspace.bytes;
  }

  /** Bytes of inputs, logits and results held. */
  get scratchBytes(): number {
    return this.#buffers.bytes;
  }

  /** Bytes of inputs, logits and results that passes of so many rows take, those of the recorder included. */
  scratchBytesFor(rows: number, shape: PassShape): number {
    const buffers = this.#inputs(rows, shape).reduce((sum, [, bytes]) => sum + namedBufferBytes(bytes), 0);
    const results = Math.ceil(rows * shape.labelsPerRow) * 8 + Math.ceil(rows * shape.targetsPerRow) * 4;
    return buffers + this.#model.gpu.recorder.bytesToRead(results);
  }

  /** The most bytes that a pass over so many rows uploads or writes under each name. */
  #inputs(rows: number, { labelsPerRow, targetsPerRow }: PassShape): [string, number][] {
    const labels = Math.ceil(rows * labelsPerRow);
    const targets = Math.ceil(rows * targetsPerRow);
    const { decoder } = this.#model;
    const windows = windowOf(decoder) !== undefined;
    return [
      ['ids', rows * 4],
      ['positions', rows * 4],
      ...(decoder.tokenTypes ? [['token types', rows * 4] satisfies [string, number]] : []),
      ...ropeRowsBytes(this.#model, rows),
      ['ranges', rows * 16],
      ...(windows ? [['window ranges', rows * 16] satisfies [string, number]] : []),
      ...(recurrents(this.#model.decoder).length > 0 ? runsBytes(rows) : []),
      ['label rows', labels * 4],
      ['targets', targets * 8],
      ...scoreTargetsScratch(this.#model, labels, targets),
    ];
  }

  /**
   * Scores examples under every probe. Splits into several passes where the rows exceed {@link maxRows}; the result is
   * the same.
   *
   * @param maxRows a lower limit on the rows of a pass than the scorer's own
   * @returns one list per probe, in the order of the examples
   * @throws SubzeroError `out_of_memory` when a single example does not fit
   */
  async score(
    examples: readonly TokenizedExample[],
    probes: Probes,
    maxRows = this.maxRows,
  ): Promise<ExampleScore[][]> {
    const scores: ExampleScore[][] = Array.from({ length: probes.count }, () => []);
    const budget = Math.floor(Math.min(maxRows, this.maxRows) / probes.count);
    let start = 0;
    while (start < examples.length) {
      let rows = exampleRows(examples[start]!);
      if (rows > budget) {
        throw new SubzeroError(
          'out_of_memory',
          `one example needs ${rows} rows${probes.count > 1 ? ` for each of ${probes.count} probes` : ''}; ` +
            `at most ${this.maxRows} rows fit in a pass. Raise max-rows, or shorten the example.`,
        );
      }
      let end = start + 1;
      while (end < examples.length && rows + exampleRows(examples[end]!) <= budget)
        rows += exampleRows(examples[end++]!);
      const part = await this.read(this.record(examples.slice(start, end), probes));
      for (const [probe, list] of part.entries()) scores[probe]!.push(...list);
      start = end;
    }
    return scores;
  }

  /**
   * Scores examples under all probes of a step. As many probes as fit share a pass; the rest follow in further passes
   * with the same result.
   *
   * @returns one list per probe, in the order of the examples
   * @throws SubzeroError `out_of_memory` when a single example under a single probe does not fit
   */
  async scoreStep(examples: readonly TokenizedExample[], source: ProbeSource, step: number): Promise<ExampleScore[][]> {
    const { probeCount, probesAtOnce } = source;
    const rows = batchRows(examples);
    const most = Math.max(1, Math.min(probeCount, probesAtOnce, Math.floor(this.maxRows / rows)));
    // Passes of about the same size.
    const atOnce = Math.ceil(probeCount / Math.ceil(probeCount / most));
    const scores: ExampleScore[][] = [];
    for (let first = 0; first < probeCount; first += atOnce) {
      const count = Math.min(atOnce, probeCount - first);
      scores.push(...(await this.score(examples, source.perturb(step, first, count))));
    }
    return scores;
  }

  /** Whether {@link scoreStep} makes one pass. */
  fitsOnePass(examples: readonly TokenizedExample[], { probeCount, probesAtOnce }: ProbeSource): boolean {
    return probeCount <= probesAtOnce && batchRows(examples) * probeCount <= this.maxRows;
  }

  /** Uploads examples and records one pass over them. @param examples that fit one */
  record(examples: readonly TokenizedExample[], probes: Probes): RecordedPass {
    const { gpu } = this.#model;
    const { batch, targets } = packExamples(examples, 0, this.#model.decoder.mask);
    checkTargetIds(batch, this.#model.decoder.vocabularySize);
    const rows = batch.ids.length;
    const labels = batch.labelRows.length;
    const targetCount = batch.targets.length / 2;
    const buffers = this.#buffers;
    this.#workspace.reserve(rows * probes.count);
    const context: OperationContext = { gpu, workspace: this.#workspace, probes, plans: this.#model.plans };
    gpu.recorder.divide();
    const hidden = forward(this.#model, context, {
      ...uploadBatch(this.#model, batch, probes, buffers),
      labelRows: buffers.upload('label rows', batch.labelRows),
      labelCount: labels,
    });
    const { running, picked } = scoreTargets(
      this.#model,
      context,
      hidden,
      { buffer: buffers.upload('targets', batch.targets), count: targetCount },
      buffers,
    );
    this.#workspace.give(hidden);
    const scoresOf = ([runningData, pickedData]: readonly ArrayBuffer[]): ExampleScore[][] => {
      const sums = new Float32Array(runningData!);
      const logits = new Float32Array(pickedData!);
      return Array.from({ length: probes.count }, (_, probe) => {
        const logprob = (target: number): number => {
          const row = probe * labels + batch.targets[target * 2]!;
          return logits[probe * targetCount + target]! - sums[row * 2]! - Math.log(sums[row * 2 + 1]!);
        };
        return targets.map((example) => scoreOf(example, logprob));
      });
    };
    return {
      rows: rows * probes.count,
      results: [
        { buffer: running, bytes: labels * probes.count * 8 },
        { buffer: picked, bytes: targetCount * probes.count * 4 },
      ],
      scoresOf,
    };
  }

  /**
   * Sends what is recorded and reads the scores of the pass that it ends with.
   * @param meanwhile called when the GPU has all of the work
   */
  async read({ rows, results, scoresOf }: RecordedPass, meanwhile?: () => void): Promise<ExampleScore[][]> {
    const data = await this.#model.gpu.recorder.readInTurns(results, meanwhile);
    this.rows += rows;
    return scoresOf(data);
  }

  destroy(): void {
    // What a failed pass left recorded must not be submitted once its buffers are gone.
    this.#model.gpu.recorder.submit();
    this.#workspace.destroy();
    this.#buffers.destroy();
  }
}

function scoreOf(example: ExampleTargets, logprob: (target: number) => number): ExampleScore {
  const tokens = example.continuations.map(({ first, count }) =>
    Array.from({ length: count }, (_, index) => logprob(first + index)),
  );
  return {
    logprobs: tokens.map((values) => values.reduce((sum, value) => sum + value, 0)),
    counts: example.continuations.map(({ count }) => count),
    tokens,
  };
}
