/**
 * Log-probabilities of tokens that are there already, a prompt's: from the hidden states of the pass that reads it.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import { logitsOf } from '../model/head.ts';
import type { Model } from '../model/model.ts';
import type { OperationContext } from '../ops/context.ts';
import { gatherRows } from '../ops/rows.ts';
import { leastVocabulary, readTopLogits, topKept, topLogits, topLogitsBytes } from '../ops/top-logits.ts';
import type { NamedBuffers } from '../tensor/named-buffers.ts';
import type { Activation } from '../tensor/workspace.ts';
import { type Choice, type Sampled, scoreFromTop, scoreToken } from './sample.ts';

/** Most bytes of logits at a time: enough rows that reading the head's weight is worth it, far less than all rows of a pass have. */
const logitBytes = 64 * 1024 * 1024;

/** What is to be known of the token that follows a row. */
export interface ScoredRow {
  target: number;
  /** How many alternatives to report. */
  topLogprobs: number;
}

/**
 * Scores the tokens that follow rows of hidden states, some rows after the others, so that the logits of all never exist at a time.
 *
 * @param hidden final hidden states of one probe
 * @param first the row of the first of them
 * @param scratch that nothing else uses meanwhile
 * @returns functions, one for each row, since one that fails must fail for its own sequence: like {@link scoreToken}
 */
export async function scoreRows(
  model: Model,
  context: OperationContext,
  hidden: Activation,
  first: number,
  rows: readonly ScoredRow[],
  scratch: NamedBuffers,
): Promise<(() => Sampled)[]> {
  const { gpu, workspace } = context;
  const rowBytes = hidden.columns * 4;
  const most = Math.max(1, Math.floor(logitBytes / 4 / model.decoder.vocabularySize));
  const scores: (() => Sampled)[] = [];
  for (let start = 0; start < rows.length; start += most) {
    const wanted = rows.slice(start, start + most);
    const chunk = workspace.take(wanted.length, hidden.columns);
    gpu.recorder.copy(hidden.buffer, (first + start) * rowBytes, chunk.buffer, 0, wanted.length * rowBytes);
    const logits = logitsOf(model, context, chunk, scratch);
    workspace.give(chunk);
    scores.push(...(await scoreLogits(model, context, logits, wanted, scratch)));
  }
  return scores;
}

/** Reads of the logits what the GPU finds in them, and whole rows where that does not tell everything. */
async function scoreLogits(
  model: Model,
  context: OperationContext,
  logits: GpuBuffer,
  rows: readonly ScoredRow[],
  scratch: NamedBuffers,
): Promise<(() => Sampled)[]> {
  const columns = model.decoder.vocabularySize;
  const found = columns >= leastVocabulary ? await search(context, logits, columns, rows, scratch) : [];
  const undecided = rows.map((_, row) => row).filter((row) => !found[row]);
  const whole = new Map<number, Float32Array>();
  if (undecided.length > 0) {
    const rowBytes = columns * 4;
    const data = await context.gpu.recorder.read(
      undecided.map((row) => ({ buffer: logits, offset: row * rowBytes, bytes: rowBytes })),
    );
    for (const [index, row] of undecided.entries()) whole.set(row, new Float32Array(data[index]!));
  }
  return rows.map(
    ({ target, topLogprobs }, row) =>
      () =>
        found[row] ?? scoreToken(whole.get(row)!, target, topLogprobs),
  );
}

async function search(
  context: OperationContext,
  logits: GpuBuffer,
  columns: number,
  rows: readonly ScoredRow[],
  scratch: NamedBuffers,
): Promise<(Sampled | undefined)[]> {
  const { gpu, workspace } = context;
  const count = rows.length;
  const draws = scratch.upload(
    'draws',
    Float32Array.from({ length: 2 * count }, (_, index) => 1 - (index % 2)),
  );
  const results = scratch.ensure('top logits', count * topLogitsBytes(columns));
  topLogits(gpu, logits, { rows: count, columns }, draws, results);
  // The targets' logits are rows of one number.
  const places = Uint32Array.from(rows, ({ target }, row) => row * columns + target);
  const elements = { buffer: logits, rows: count * columns, columns: 1 };
  const targets = gatherRows(context, elements, scratch.upload('places', places), count);
  workspace.give(targets);
  const [tops, picked] = await gpu.recorder.read([
    { buffer: results, bytes: count * topLogitsBytes(columns) },
    { buffer: targets.buffer, bytes: count * 4 },
  ]);
  const logitOf = new Float32Array(picked!);
  return rows.map(({ target, topLogprobs }, row) => {
    const top = topLogprobs <= topKept ? readTopLogits(tops!, row, columns, topLogprobs) : undefined;
    const given: Choice = { id: target, logit: logitOf[row]! };
    return top && scoreFromTop(top, given, topLogprobs);
  });
}
