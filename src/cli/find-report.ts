/**
 * What a search for a learning rate shows.
 *
 * @module
 */

import type { FindEvent } from '../engine/types.ts';
import { formatFixed, plural } from '../format.ts';
import type { Host } from './host.ts';
import { createProgress } from './progress.ts';
import { readingLine } from './train-report.ts';

type Trial = Extract<FindEvent, { type: 'trial' }>;

/** Shows the trials as they come; with `json` nothing until one line with all of it. */
export async function reportFind(
  host: Host,
  events: AsyncIterable<FindEvent>,
  { quiet, json }: { quiet: boolean; json: boolean },
): Promise<void> {
  const progress = createProgress(host, quiet || json);
  const trials: Trial[] = [];
  let before: number | null = null;
  const print = (text: string) => host.standardOutput.write(`${text}\n`);
  try {
    for await (const event of events) {
      switch (event.type) {
        case 'reading':
          progress.update(readingLine(event));
          break;
        case 'start': {
          progress.end();
          before = event.loss;
          const where = event.heldOut ? 'training examples kept apart' : 'validation examples';
          const count = `${event.learningRates.length} learning rates at most`;
          if (!quiet && !json) {
            progress.line(`${count}, ${plural(event.trialSteps, 'step')} each; loss over ${event.examples} ${where}`);
          }
          if (!json) print(`${'learning rate'.padEnd(14)}${'before'.padStart(8)}${'after'.padStart(10)}`);
          break;
        }
        case 'trial':
          trials.push(event);
          if (!json) print(row(event, before!));
          break;
        case 'suggestion':
          if (json) {
            print(
              JSON.stringify({
                before,
                trials: trials.map(({ type: _, ...trial }) => trial),
                suggestion: event.learningRate,
              }),
            );
          } else {
            print(conclusion(event.learningRate, trials));
          }
      }
    }
  } finally {
    progress.end();
  }
}

function row({ learningRate, loss, stuck, steps }: Trial, before: number): string {
  const after =
    loss === null ? `  ${stuck ? 'stuck' : 'diverged'} at step ${steps + 1}` : formatFixed(loss).padStart(10);
  return `${learningRate.toExponential().padEnd(14)}${formatFixed(before).padStart(8)}${after}`;
}

function conclusion(suggestion: number | null, trials: readonly Trial[]): string {
  const stuck = trials.at(-1)?.stuck;
  if (suggestion === null && stuck) return `nothing to suggest; the last trial ended because ${stuck}`;
  if (suggestion === null) {
    return (
      'no trial lowered the loss: more steps (--trial-steps), more queries or a larger batch make their ' +
      'differences visible'
    );
  }
  const advice = `suggested: --learning-rate ${suggestion.toExponential()}`;
  const next = trials[trials.findIndex(({ learningRate }) => learningRate === suggestion) + 1];
  return next && next.loss === null ? `${advice} (the next one diverges: a long run may want a third of it)` : advice;
}
