/**
 * What a training run shows: a progress line, evaluations as they come, the outcome.
 *
 * @module
 */

import type { ClusterMember, DataSummary, TrainEvent } from '../engine/types.ts';
import { formatBytes, formatCount, formatDuration, formatFixed, plural, shellWord } from '../format.ts';
import type { Host } from './host.ts';
import { createProgress } from './progress.ts';
import { scoresText } from './scores-text.ts';

export interface TrainReport {
  event(event: TrainEvent): void;
  /** A line for people, whatever the form of the output. */
  notice(text: string): void;
  /** Ends the progress line. */
  end(): void;
}

/**
 * A report on the host's streams; with `json`, every event is a line on standard output instead.
 * @param options.results whether the outcome goes to standard output; with false it is progress like the rest
 */
export function createTrainReport(
  host: Host,
  { quiet, json, results = true }: { quiet: boolean; json: boolean; results?: boolean },
): TrainReport {
  const progress = createProgress(host, quiet || json);
  /** Accuracy or F1 of the last evaluation. */
  let score: number | null = null;
  /** Whether evaluations have minus the reward as their loss: with an anchor it is more. */
  let isReward = false;
  let cluster: Extract<TrainEvent, { type: 'cluster' }> | undefined;
  const inform = (text: string) => {
    if (!quiet && !json) progress.line(text);
  };
  return {
    notice: (text) => progress.line(text),
    end: () => progress.end(),
    event(event) {
      if (json) host.standardOutput.write(`${JSON.stringify(event)}\n`);
      switch (event.type) {
        case 'reading':
          progress.update(readingLine(event));
          break;
        case 'start': {
          // What the reading of the data told stays above.
          progress.end();
          const { weightBytes, factorBytes, activationBytes, scratchBytes, totalBytes } = event.plan;
          const from = event.step === 0 ? '' : ` from step ${event.step}`;
          inform(
            `training${from} to step ${event.steps} on ${plural(event.examples, 'example')}; ` +
              `GPU memory: ${formatBytes(totalBytes)} (weights ${formatBytes(weightBytes)}, factors ` +
              `${formatBytes(factorBytes)}, activations ${formatBytes(activationBytes)}, scratch ` +
              `${formatBytes(scratchBytes)})`,
          );
          if (event.step === 0) for (const line of dataLines(event.data)) inform(line);
          break;
        }
        case 'step':
          progress.update(stepLine(event, score) + (cluster ? `  ${clusterText(cluster)}` : ''));
          break;
        case 'cluster': {
          // A change of who takes part is worth lines of its own.
          const names = ({ members }: typeof event) => members.map(({ name }) => name).join();
          if (!cluster || names(cluster) !== names(event)) for (const each of event.members) inform(memberLine(each));
          cluster = event;
          break;
        }
        case 'evaluation':
          score = event.accuracy ?? event.f1;
          isReward = event.measures?.reward !== undefined && event.loss === -event.measures.reward;
          inform(
            `step ${event.step}: validation ${scoresText(event)}loss ${formatFixed(event.loss)} ` +
              `(${plural(event.examples, 'example')}, ${event.seconds.toFixed(1)} s)`,
          );
          break;
        case 'message':
          if (event.level === 'info') inform(event.message);
          else progress.line(`${event.level === 'warn' ? 'warning' : 'error'}: ${event.message}`);
          break;
        case 'done':
          progress.end();
          if (cluster) for (const each of cluster.members) inform(memberLine(each));
          if (!results) inform(doneText(event, isReward));
          else if (!json) host.standardOutput.write(`${doneText(event, isReward)}\n`);
          break;
      }
    },
  };
}

/** How far the reading of the data is. */
export function readingLine({ rows, readBytes, totalBytes, etaSeconds }: Extract<TrainEvent, { type: 'reading' }>) {
  return (
    `reading data: ${plural(rows, 'row')}, ${formatBytes(readBytes)} of ${formatBytes(totalBytes)}  ` +
    `ETA ${formatDuration(etaSeconds)}`
  );
}

/** The summary of the training data, and its first example. */
function dataLines({ format, rows, tokens, truncated, dropped, split, first }: DataSummary): string[] {
  const counts = [
    ...(truncated > 0 ? [`${truncated} cut`] : []),
    ...(dropped > 0 ? [`${dropped} left out`] : []),
    ...(split > 0 ? [`${split} split`] : []),
  ];
  const { minimum, median, p95, maximum } = tokens;
  return [
    `data: ${format}, ${plural(rows, 'row')}; tokens ${minimum} to ${maximum}, median ${median}, 95 % within ${p95}` +
      `${counts.length > 0 ? `; ${counts.join(', ')}` : ''}`,
    `first example, ⟦learnt⟧: ${first}`,
  ];
}

function stepLine(event: Extract<TrainEvent, { type: 'step' }>, score: number | null): string {
  return [
    `step ${event.step}/${event.steps}`,
    // Minus the reward, as the loss of such runs is, reads as if 0 were best.
    ...(event.measures?.reward === undefined ? [] : [`reward ${formatFixed(event.measures.reward)}`]),
    `loss ${formatFixed(event.loss)}`,
    `ρ ${event.projectedGradient < 0 ? '' : '+'}${event.projectedGradient.toPrecision(3)}`,
    ...(score === null ? [] : [`validation ${formatFixed(score, 3)}`]),
    `${formatCount(event.tokensPerSecond)} tokens/s`,
    `ETA ${formatDuration(event.etaSeconds)}`,
  ].join('  ');
}

/** Who takes part, in a few words behind the step. */
function clusterText({ members, bytesPerStep }: Extract<TrainEvent, { type: 'cluster' }>): string {
  const waiting = members.reduce((sum, { waitingShare }) => sum + waitingShare, 0) / members.length;
  const bytes = formatBytes(Math.round(bytesPerStep));
  return `${plural(members.length, 'machine')}, waiting ${percent(waiting)}, ${bytes} a step`;
}

function memberLine(member: ClusterMember): string {
  const { name, adapter, here, stepsPerSecond, tokensPerSecond, lag, waitingShare, bytesPerStep } = member;
  return [
    `${here ? 'here' : `worker ${name}`} (${adapter}): ${stepsPerSecond.toFixed(2)} steps/s`,
    `${formatCount(tokensPerSecond)} tokens/s, ${plural(lag, 'step')} behind, waiting ${percent(waitingShare)}`,
    `${formatBytes(Math.round(bytesPerStep))} a step`,
  ].join(', ');
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

function doneText(event: Extract<TrainEvent, { type: 'done' }>, isReward: boolean): string {
  const effort = `${formatCount(event.trainedTokens)} tokens in ${formatDuration(event.seconds)}`;
  // Early stopping has said so itself; otherwise the last step is often as good.
  const better = event.best && event.best.step < event.step ? event.best : undefined;
  const extreme =
    better &&
    (isReward ? `highest reward ${formatFixed(-better.loss)}` : `lowest validation loss ${formatFixed(better.loss)}`);
  const best = better ? `; ${extreme} at step ${better.step} (--step best)` : '';
  if (event.outcome === 'stuck') return `ended at step ${event.step}, ${effort}: ${event.reason}; run: ${event.run}`;
  return event.outcome === 'finished'
    ? `finished at step ${event.step}, ${effort}${best}; run: ${event.run}`
    : `stopped at step ${event.step}, ${effort}; everything is saved. To go on: subzero train --resume ` +
        `${shellWord(event.run)}`;
}
