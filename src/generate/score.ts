/**
 * Log-probabilities of the tokens of a prompt, from the hidden states of the pass that reads the prompt.
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

/**
 * Most bytes of logits at a time: enough rows to make reading the head's weight worthwhile, far fewer than a pass has.
 */
const logitBytes = 64 * 1024 * 1024;

/** What to report about the token that follows a row. */
export interface ScoredRow {
  target: number;
  /** How many alternatives to report. */
  topLogprobs: number;
}

/**
 * Scores the tokens that follow rows of hidden states. It processes some rows at a time, so that the logits of all rows
 * never exist together.
 *
 * @param hidden final hidden states of one probe
 * @param first index of the first row to score
 * @param scratch buffers that nothing else uses meanwhile
 * @returns one function per row, like {@link scoreToken}, so that an error fails only its own sequence
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

/** Reads what the GPU finds in the logits, and whole rows where that is not enough. */
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
  // The targets' logits are gathered as rows of one number.
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
