/**
 * Loss and accuracy over a data set.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { SubzeroError } from '../errors.ts';
import { exampleRows } from '../model/batch.ts';
import type { Probes } from '../ops/probes.ts';
import type { EvaluationResult } from './events.ts';
import { batchLoss, type ExampleScore, type Scorer } from './score.ts';

/** Examples scored between two looks at the signal. */
const examplesAtOnce = 64;

/** Rows of a pass where memory is not the limit: enough to fill any adapter, little enough to show progress. */
const rowsAtOnce = 4096;

/**
 * Scores every example under one probe.
 *
 * @param options.maxRows rows of a pass; training passes the rows that it has reserved, so that nothing is allocated
 * @throws SubzeroError `cancelled` when the signal is aborted
 */
export async function evaluate(
  scorer: Scorer,
  examples: readonly TokenizedExample[],
  probes: Probes,
  options: { onProgress?: (done: number, total: number) => void; signal?: AbortSignal; maxRows?: number } = {},
): Promise<EvaluationResult> {
  const started = performance.now();
  const largest = examples.reduce((most, example) => Math.max(most, exampleRows(example)), 0);
  const maxRows = Math.max(largest, options.maxRows ?? rowsAtOnce);
  const scores: ExampleScore[] = [];
  for (let start = 0; start < examples.length; start += examplesAtOnce) {
    if (options.signal?.aborted) throw new SubzeroError('cancelled', 'the evaluation was cancelled');
    const [part] = await scorer.score(examples.slice(start, start + examplesAtOnce), probes, maxRows);
    scores.push(...part!);
    options.onProgress?.(scores.length, examples.length);
  }
  const { loss, accuracy, tokens } = batchLoss(examples, scores);
  return { examples: examples.length, loss, accuracy, tokens, seconds: (performance.now() - started) / 1000 };
}
