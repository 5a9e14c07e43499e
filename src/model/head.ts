/**
 * The output head: logits of label rows, chunk by chunk over the vocabulary.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { OperationContext } from '../ops/context.ts';
import { recordLabelLoss } from '../ops/label-loss.ts';
import { linear, type Projection, product, project } from '../ops/linear.ts';
import { norm } from '../ops/norm.ts';
import { vectorOf, weightScaleOf } from '../ops/probes.ts';
import { scaleBuffer } from '../ops/scale.ts';
import type { NamedBuffers } from '../tensor/named-buffers.ts';
import type { Weight } from '../tensor/weight.ts';
import type { Activation } from '../tensor/workspace.ts';
import { headMatrix } from './decoder.ts';
import type { Model } from './model.ts';

/** Most bytes of logits that exist at a time while scoring; the whole [rows, vocabulary] matrix never does. */
const logitBytes = 16 * 1024 * 1024;

/** Names of scratch buffers. */
const names = { running: 'running log-sum-exp', picked: 'target logits', logits: 'logits' } as const;

/** A run of vocabulary entries within one part of the head's weight. */
interface VocabularyChunk {
  part: Weight['parts'][number];
  start: number;
  count: number;
}

function* vocabularyChunks(weight: Weight, rows: number): Generator<VocabularyChunk> {
  const most = chunkEntries(rows);
  for (const part of weight.parts) {
    for (let row = 0; row < part.rowCount; row += most) {
      yield { part, start: part.rowStart + row, count: Math.min(most, part.rowCount - row) };
    }
  }
}

/** Vocabulary entries of one chunk: as many as fit, so that the logits of so many rows stay bounded. */
function chunkEntries(rows: number): number {
  return Math.max(64, Math.floor(logitBytes / 4 / rows / 4) * 4);
}

/**
 * The most bytes that {@link scoreTargets} writes under each name of its scratch, for up to so many rows and targets of
 * all probes.
 */
export function scoreTargetsScratch(model: Model, rows: number, targets: number): [string, number][] {
  const entries = Math.max(...headWeight(model).parts.map(({ rowCount }) => rowCount));
  return [
    [names.running, rows * 8],
    [names.picked, targets * 4],
    [names.logits, Math.min(rows * entries * 4, Math.max(logitBytes, rows * chunkEntries(rows) * 4))],
  ];
}

/** The head's weight: the embedding itself where it is tied. */
function headWeight(model: Model): Weight {
  return model.weight(headMatrix(model.decoder).weight);
}

/** What the logits are made of: hidden states, or what the head makes of them first. */
function transformed(model: Model, context: OperationContext, hidden: Activation): Activation {
  const { transform } = model.decoder.head;
  if (!transform) return hidden;
  const { dense, activation } = transform;
  const { kind, epsilon, width, gain, shift } = transform.norm;
  const options = { activation, ...(dense.bias ? { bias: dense.bias } : {}) };
  const inner = linear(context, hidden, model.weight(dense.weight), options);
  const result = norm(context, inner, {
    ...{ kind, epsilon, groupWidth: width },
    ...(gain ? { gain } : {}),
    ...(shift ? { shift } : {}),
  });
  context.workspace.give(inner);
  return result;
}

function recordLogits(
  { decoder }: Model,
  context: OperationContext,
  hidden: Activation,
  weight: Weight,
  chunk: VocabularyChunk,
  sides: Projection['sides'],
  y: GpuBuffer,
  layout: { stride: number; column: number },
): void {
  const factors = context.probes.factors.get(weight.name);
  const side = factors && sides.get(factors);
  const bias = vectorOf(context.probes, decoder.head.bias);
  product(
    context,
    weight,
    { storage: weight.storage, activation: 'none', hasBias: bias !== undefined, accumulate: false },
    {
      x: hidden,
      weight: chunk.part,
      weightRow: chunk.start - chunk.part.rowStart,
      outputRow: chunk.start,
      columns: chunk.count,
      ...(side ? { side } : {}),
      ...(bias ? { bias } : {}),
      y,
      yStride: layout.stride,
      columnStart: layout.column,
      rowsPerProbe: hidden.rows / context.probes.count,
      weightScale: weightScaleOf(context.probes, weight.name),
    },
  );
}

/**
 * Records the log-softmax of label rows at chosen tokens.
 *
 * @param hidden final hidden states [probes · labels, width]
 * @param targets (label row within its probe, token) pairs, `count` of them
 * @returns `running`: (maximum, Σ exp) per row; `picked`: the logit of each target, [probes · count]
 */
export function scoreTargets(
  model: Model,
  context: OperationContext,
  hidden: Activation,
  targets: { buffer: GpuBuffer; count: number },
  scratch: NamedBuffers,
): { running: GpuBuffer; picked: GpuBuffer } {
  const { gpu, workspace, probes } = context;
  const { logits: shape } = model.decoder;
  const weight = headWeight(model);
  const factors = probes.factors.get(weight.name);
  const states = transformed(model, context, hidden);
  const { memory, sides } = project(context, states, factors ? [factors] : []);
  const running = scratch.ensure(names.running, hidden.rows * 8);
  const picked = scratch.ensure(names.picked, probes.count * targets.count * 4);
  const chunks = [...vocabularyChunks(weight, hidden.rows)];
  const logits = scratch.ensure(names.logits, hidden.rows * Math.max(...chunks.map(({ count }) => count)) * 4);
  for (const [index, chunk] of chunks.entries()) {
    recordLogits(model, context, states, weight, chunk, sides, logits, { stride: chunk.count, column: 0 });
    if (shape) scaleBuffer(gpu, logits, hidden.rows * chunk.count, shape);
    recordLabelLoss(
      gpu,
      { logits, targets: targets.buffer, running, picked },
      {
        rows: hidden.rows,
        columns: chunk.count,
        columnStart: chunk.start,
        rowsPerProbe: hidden.rows / probes.count,
        targetCount: targets.count,
        first: index === 0,
      },
    );
  }
  workspace.give(...memory, ...(states === hidden ? [] : [states]));
  return { running, picked };
}

/**
 * Records all logits of a few rows, for sampling.
 *
 * @param hidden [rows, width]
 * @returns [rows, vocabulary] f32
 */
export function logitsOf(
  model: Model,
  context: OperationContext,
  hidden: Activation,
  scratch: NamedBuffers,
): GpuBuffer {
  const weight = headWeight(model);
  const factors = context.probes.factors.get(weight.name);
  const states = transformed(model, context, hidden);
  const { memory, sides } = project(context, states, factors ? [factors] : []);
  const logits = scratch.ensure(names.logits, hidden.rows * weight.rows * 4);
  for (const chunk of vocabularyChunks(weight, hidden.rows)) {
    recordLogits(model, context, states, weight, chunk, sides, logits, {
      stride: weight.rows,
      column: chunk.start,
    });
  }
  const { logits: shape } = model.decoder;
  if (shape) scaleBuffer(context.gpu, logits, hidden.rows * weight.rows, shape);
  context.workspace.give(...memory, ...(states === hidden ? [] : [states]));
  return logits;
}
