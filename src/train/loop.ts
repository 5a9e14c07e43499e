/**
 * The training loop: draw a batch, evaluate it under all probes, journal the result, move the weights.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import type { DataSummary } from '../data/summary.ts';
import { SubzeroError } from '../errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { batchRows } from '../model/batch.ts';
import { generates } from '../model/decoder.ts';
import type { Model } from '../model/model.ts';
import { leadingTokens, withLeading } from '../model/virtual-tokens.ts';
import { basename } from '../platform/index.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { methods } from '../settings/methods.ts';
import { objectives } from '../settings/objectives.ts';
import type { StepRecord } from '../zo/journal-format.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';
import type { RunLog } from '../zo/run-log.ts';
import type { BaseScores } from './base-scores.ts';
import type { EvaluationHistory } from './best.ts';
import { type RunChanges, writeChanges } from './changes.ts';
import { comparedRows, PromptDrift, shownPrompts } from './compared-rows.ts';
import { DueEvaluations } from './due-evaluations.ts';
import type { TrainEvent } from './events.ts';
import { samplerOf } from './examples.ts';
import { drawnExamples, lossOfRun } from './goal.ts';
import { planMemory } from './memory-plan.ts';
import { close, destroy, ResourceStack } from './resource-stack.ts';
import { RewardScorer, type RewardSource } from './rewards.ts';
import { learningRateAt } from './schedule.ts';
import { Scorer } from './score.ts';
import type { ShareRun } from './sharing.ts';
import { openSinks } from './sinks/sinks.ts';
import { uniformLoss } from './slope.ts';
import { StepClock } from './step-clock.ts';
import { mean } from './step-evaluation.ts';
import { type StepBatch, StepPipeline } from './step-pipeline.ts';
import { idleLearningRateWarning, LossWatchdog, type Warning } from './watchdog.ts';

/** A run that is ready to make its next step. */
export interface OpenRun {
  folder: string;
  model: Model;
  optimizer: ZerothOrderOptimizer;
  configuration: TrainConfiguration;
  log: RunLog;
  examples: TokenizedExample[];
  validation: TokenizedExample[];
  /** What the base says of the examples, where the run compares with it. */
  base: BaseScores | undefined;
  /** The summary of the training data. */
  summary: DataSummary;
  /** Steps done. */
  step: number;
  /** The evaluations so far. */
  evaluations: EvaluationHistory;
  /** The steps that were made with these settings and data before. */
  records: readonly StepRecord[];
  /** Things to tell before the first step. */
  notes: string[];
  /** What differs from the journal's header, to be kept once it is known that the run fits. */
  changes: RunChanges;
  /** Lets others take part; this process trains alone by default. */
  share?: ShareRun | undefined;
  /** What the objective `reward` grades with. */
  reward?: RewardSource | undefined;
}

/**
 * Trains to the last step of a run, or until it has no use to go on, or the signal is aborted.
 *
 * Each step is in the log, then in the sinks, before it is announced. The weights on the GPU move, and the next
 * evaluation begins, while it is being written: what a process that ends in between has computed is computed again, to
 * the same bits, when the run is resumed.
 */
export async function* trainFrom(gpu: Gpu, run: OpenRun, signal: AbortSignal | undefined): AsyncGenerator<TrainEvent> {
  const { configuration, optimizer, model, folder, base } = run;
  const { steps } = configuration;
  const leading = leadingTokens(model, optimizer.current);
  const examples = withLeading(run.examples, leading);
  const validation = withLeading(run.validation, leading);
  base?.show(run.examples, examples);
  base?.show(run.validation, validation);
  const prompts = base && shownPrompts(run, { examples, validation }, { base, leading });
  const lossOf = lossOfRun(configuration, base);
  const resources = new ResourceStack();
  try {
    const scorer = resources.own(new Scorer(model, configuration.maxRows), destroy);
    const sampler = samplerOf(configuration, examples);
    const batchOf = (step: number): StepBatch => {
      const rows = sampler.batch(step);
      return { rows, batch: rows.map((row) => examples[row]!) };
    };
    const drift = base && prompts && new PromptDrift(scorer, base, prompts);
    const rewards = await openRewards(run, drift, signal);
    if (rewards) resources.own(rewards, destroy);
    const evaluations = new DueEvaluations({
      ...{ model, optimizer, scorer, configuration, validation, lossOf, rewards },
      history: run.evaluations,
    });
    const watchdog = new LossWatchdog(configuration);
    const watch = (record: StepRecord): Warning | undefined =>
      // As the journal keeps it, so that a resumed run comes to the same judgement.
      watchdog.observe({ ...record, loss: Math.fround(record.loss) }, () =>
        uniformLoss(batchOf(record.step - 1).batch, model.decoder.vocabularySize),
      );
    // An interrupted run is judged by all of its steps.
    for (const record of run.records) watch(record);
    const { slope } = watchdog;
    const clock = new StepClock();
    let done = run.step;

    const scored = prompts ? { examples: [...prompts.values()], validation: [] } : { examples, validation };
    const plan = planMemory({ ...run, ...scored, scorer });
    await gpu.checkAllocations();
    const title = `${methods[configuration.optimizer].title} on ${basename(model.directory)}`;
    const sinks = resources.own(await openSinks({ folder, configuration, step: done, title }), close);
    await writeChanges(folder, run.changes);
    const toShare = { gpu, folder, configuration, optimizer, scorer, lossOf, log: run.log, rows: plan.rows, signal };
    const shared = await run.share?.open({ ...toShare, examples: run.examples });
    if (shared) resources.own(shared, close);
    const { log } = shared ?? run;
    const notices = (): TrainEvent[] => {
      const problem = rewards?.takeNotice();
      const own = problem === undefined ? [] : [{ level: 'warn' as const, message: problem }];
      return [...(shared?.notices() ?? []), ...own].map((notice) => ({ type: 'message', ...notice }));
    };
    yield { type: 'start', run: folder, step: done, steps, examples: examples.length, plan, data: run.summary };
    for (const message of run.notes) yield { type: 'message', level: 'info', message };
    yield* notices();
    const idle = idleLearningRateWarning(configuration);
    if (idle) yield { type: 'message', level: 'warn', ...idle };
    if (slope.reason !== undefined)
      yield { type: 'message', level: 'warn', code: 'no_slope', message: `step ${done}: ${slope.reason}` };

    // No step has moved the weights of a run that begins; one that goes on has asked before.
    if (base && done === 0) {
      const drawn = drawnExamples(run.examples, sampler, { from: done, to: steps });
      yield* base.ask({ model, scorer }, comparedRows(configuration, [...drawn, ...run.validation]), signal);
    }

    async function* evaluateIfDue(): AsyncGenerator<TrainEvent> {
      const event = await evaluations.make(done, signal);
      if (!event) return;
      clock.evaluated(event.seconds);
      await sinks.take(event);
      yield event;
    }

    // The process may have ended between a step and the evaluation that follows it.
    yield* evaluateIfDue();

    const pipeline = resources.own(
      new StepPipeline(
        {
          gpu,
          optimizer,
          scorer,
          lossOf,
          cuts: configuration,
          ...((shared ?? rewards) ? { scoreStep: (shared ?? rewards)!.scoreStep } : {}),
        },
        {
          batchOf,
          learningRateOf: (step) => learningRateAt(step, configuration),
          // Early stopping is up to evaluations.
          follows: (step) => step < steps && !evaluations.isDue(step) && !signal?.aborted,
        },
      ),
      (it) => it.settle(),
    );
    while (done < steps && evaluations.earlyStop === undefined && !slope.hopeless && !signal?.aborted) {
      const seen = await pipeline.at(done).catch(unlessCancelled);
      if (!seen) break;
      const { rows, batch, loss, accuracy, measures, measured, finite } = seen;
      // The next evaluation may end a period before this step is announced.
      const { bankLoss } = optimizer;
      if (!finite) throw diverged(done, rows, loss);
      const learningRate = learningRateAt(done, configuration);
      // The weights move first, so that the GPU waits neither for the disk nor for whoever reads the events.
      await pipeline.apply({ step: done, learningRate, ...measured });
      done++;
      const record = { step: done, learningRate, ...measured, loss };
      await log.append(record);
      const event = {
        ...{ type: 'step' as const, step: done, steps, loss, accuracy },
        projectedGradient: mean(measured.projectedGradients),
        learningRate,
        ...clock.stepped(batchRows(batch), steps - done),
        ...bankLoss,
        ...(measures ? { measures } : {}),
      };
      await sinks.take(event);
      yield event;
      for (const notice of notices()) {
        if (notice.type === 'cluster') await sinks.take(notice);
        yield notice;
      }
      const warning = watch(record);
      if (warning) {
        const message = { type: 'message' as const, step: done, level: 'warn' as const, ...warning };
        await sinks.take(message);
        yield message;
      }
      if (!slope.hopeless) yield* evaluateIfDue();
    }

    const reason = done < steps ? evaluations.earlyStop : undefined;
    if (reason !== undefined) yield { type: 'message', level: 'info', message: reason };
    const { droppedShare = 0 } = optimizer.bankLoss ?? {};
    if (droppedShare > 0) yield { type: 'message', level: 'info', message: droppedMessage(droppedShare) };
    const ended = slope.hopeless || (done >= steps && !evaluations.isDue(done)) || reason !== undefined;
    const stuck = ended ? slope.reason : undefined;
    await pipeline.settle();
    gpu.recorder.submit();
    await gpu.idle();
    await shared?.close();
    yield* notices();
    await sinks.finish();
    yield {
      type: 'done',
      run: folder,
      step: done,
      outcome: stuck !== undefined ? 'stuck' : ended ? 'finished' : 'stopped',
      reason: stuck ?? reason ?? null,
      best: run.evaluations.best ?? null,
      trainedTokens: clock.trainedTokens,
      seconds: clock.seconds,
    };
  } catch (error) {
    throw await resources.fail(error);
  } finally {
    await resources.close();
  }
}

/** @throws SubzeroError `unsupported` where others take part in a run that generates */
async function openRewards(
  run: OpenRun,
  drift: PromptDrift | undefined,
  signal: AbortSignal | undefined,
): Promise<RewardScorer | undefined> {
  const { model, optimizer, configuration, reward: source, share } = run;
  if (!objectives[configuration.objective].generates) return undefined;
  if (!source) throw new Error('an objective that asks a grader, without one');
  if (share) {
    throw new SubzeroError('unsupported', 'the objective reward runs on one machine; leave the cluster out', {
      parameter: 'cluster',
    });
  }
  if (!generates(model.decoder)) {
    throw new SubzeroError(
      'unsupported',
      'the objective reward generates answers, which a masked language model does not',
      {
        parameter: 'objective',
      },
    );
  }
  return RewardScorer.open({ model, optimizer, configuration, source, drift }, signal);
}

/** A step that was given up while its answers were generated has not happened. */
function unlessCancelled(error: unknown): undefined {
  if (error instanceof SubzeroError && error.code === 'cancelled') return undefined;
  throw error;
}

function droppedMessage(share: number): string {
  return (
    `${share.toPrecision(2)} of the change has been dropped to keep it within the rank of the bank ` +
    '(‖dropped‖ / ‖kept‖); a higher rank drops less'
  );
}

function diverged(step: number, rows: readonly number[], loss: number): SubzeroError {
  return new SubzeroError(
    'invalid_argument',
    `the loss became ${loss} at step ${step + 1} (training rows ${rows.map((row) => row + 1).join(', ')}); ` +
      `the run is saved up to step ${step}. A lower learning rate or epsilon usually cures this.`,
    { parameter: 'learningRate' },
  );
}
