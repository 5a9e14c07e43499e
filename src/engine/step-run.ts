/**
 * A run whose caller makes its steps one by one, with data of the caller's choice: the training loop without the loop.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { checkMasked, detectFormat } from '../data/formats.ts';
import { makeRow, rowError } from '../data/row.ts';
import { tokenizeExamples } from '../data/tokenize.ts';
import { SubzeroError } from '../errors.ts';
import { exampleRows } from '../model/batch.ts';
import { generates } from '../model/decoder.ts';
import type { Model } from '../model/model.ts';
import { contextLengthOf, leadingTokens, withLeading } from '../model/virtual-tokens.ts';
import type { ExampleLoss } from '../objectives/loss.ts';
import { comparesWithBase, expectedOf, type TrainConfiguration, writesWeights } from '../settings/configuration.ts';
import { type Method, methods, optimizersThat } from '../settings/methods.ts';
import type { ObjectiveName } from '../settings/objectives.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { BaseScores } from '../train/base-scores.ts';
import { evaluate } from '../train/evaluate.ts';
import { lossOfRun, meantObjective, objectiveFor } from '../train/goal.ts';
import { learningRateAt } from '../train/schedule.ts';
import { Scorer } from '../train/score.ts';
import { SlopeWatch, uniformLoss } from '../train/slope.ts';
import { evaluateStep } from '../train/step-evaluation.ts';
import { parameter, words } from '../words.ts';
import type { AppliedStep, ZerothOrderOptimizer } from '../zo/optimizer.ts';
import { probePoints } from '../zo/probe-points.ts';
import type { AppliedUpdate, DataRow, EvaluationResult, StepProbe, StepUpdate } from './types.ts';

export class StepRun {
  readonly #model: Model;
  readonly #optimizer: ZerothOrderOptimizer;
  readonly #tokenizer: Tokenizer;
  readonly #scorer: Scorer;
  readonly configuration: TrainConfiguration;
  readonly #slope: SlopeWatch;
  /** Steps done. */
  stepsDone = 0;
  /** The end of the last operation asked for; never rejects. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** @param parts a freshly loaded model and its optimiser, which stay the caller's to destroy, after {@link close} */
  constructor(parts: {
    model: Model;
    optimizer: ZerothOrderOptimizer;
    tokenizer: Tokenizer;
    configuration: TrainConfiguration;
  }) {
    this.#model = parts.model;
    this.#optimizer = parts.optimizer;
    this.#tokenizer = parts.tokenizer;
    this.configuration = parts.configuration;
    this.#slope = new SlopeWatch(parts.configuration);
    this.#scorer = new Scorer(parts.model, parts.configuration.maxRows);
    // A run that has not begun still needs factors to be looked at.
    this.#optimizer.beginStep(0);
  }

  /**
   * Waits for all operations asked for before, and keeps later ones waiting until the result is called.
   * @throws SubzeroError `not_found` when the run has been closed meanwhile
   */
  async hold(): Promise<() => void> {
    const before = this.#last;
    let release = (): void => {};
    this.#last = new Promise<void>((resolve) => {
      release = resolve;
    });
    await before;
    if (!this.#closed) return release;
    release();
    throw new SubzeroError('not_found', 'the run was deleted', { parameter: 'run' });
  }

  async #exclusively<T>(operation: () => Promise<T>): Promise<T> {
    const release = await this.hold();
    try {
      return await operation();
    } finally {
      release();
    }
  }

  /** The loss of data under the run as it stands. @throws SubzeroError `cancelled` when the signal is aborted */
  forward(data: readonly DataRow[], signal?: AbortSignal): Promise<EvaluationResult> {
    return this.#exclusively(async () => {
      const { examples, own } = await this.#tokenize(data);
      const objective = meantObjective(this.configuration, own);
      const lossOf = await this.#lossOf(objective, own, examples);
      const options = { maxRows: this.#scorer.maxRows, lossOf, ...(signal ? { signal } : {}) };
      const result = await evaluate(this.#scorer, examples, this.#optimizer.current, options);
      checkFinite([result.loss], 'loss');
      return result;
    });
  }

  /** What the next step sees of the data. */
  probe(data: readonly DataRow[], step?: number): Promise<StepProbe> {
    return this.#exclusively(() => this.#probe(data, step));
  }

  /** Makes the next step with given numbers. */
  apply(update: StepUpdate): Promise<AppliedUpdate> {
    return this.#exclusively(() => this.#apply(update));
  }

  /** Makes the next step with what it sees of the data. */
  step(
    data: readonly DataRow[],
    options: { step?: number; learningRate?: number },
  ): Promise<{ probe: StepProbe; record: AppliedUpdate }> {
    return this.#exclusively(async () => {
      const probe = await this.#probe(data, options.step);
      const { projectedGradients, curvatures } = probe;
      const record = await this.#apply({ ...options, projectedGradients, ...(curvatures ? { curvatures } : {}) });
      return { probe, record };
    });
  }

  /** Makes many steps with given numbers; none if one of them cannot be. */
  replay(records: readonly AppliedUpdate[]): Promise<void> {
    return this.#exclusively(async () => {
      const steps = records.map((record, index) => this.#checked(record, this.stepsDone + index));
      await this.#optimizer.replay(steps);
      this.stepsDone += steps.length;
    });
  }

  async #probe(data: readonly DataRow[], wanted: number | undefined): Promise<StepProbe> {
    const step = this.stepsDone;
    this.#checkStep(wanted, step);
    const { examples: batch, own } = await this.#tokenize(data);
    const lossOf = await this.#lossOf(objectiveFor(this.configuration, own), own, batch);
    const run = { gpu: this.#model.gpu, optimizer: this.#optimizer, scorer: this.#scorer, lossOf };
    const { losses, loss, accuracy, tokens, measures, measured } = await evaluateStep(run, batch, step);
    const { projectedGradients, curvatures } = measured;
    checkFinite([...losses, ...projectedGradients, ...(curvatures ?? [])], 'loss of a probe');
    const learningRate = learningRateAt(step, this.configuration);
    this.#slope.observe({ step: step + 1, loss, projectedGradients, learningRate }, () =>
      uniformLoss(batch, this.#model.decoder.vocabularySize),
    );
    const points = probePoints(this.configuration);
    const lossesOf = (sign: number): number[] => losses.filter((_, index) => Math.sign(points[index]!.scale) === sign);
    return {
      step: step + 1,
      loss,
      accuracy,
      tokens,
      ...(measures ? { measures } : {}),
      lossCentre: lossesOf(0)[0] ?? null,
      lossPlus: lossesOf(1),
      lossMinus: this.configuration.sides === 2 ? lossesOf(-1) : null,
      projectedGradients: [...projectedGradients],
      curvatures: curvatures ? [...curvatures] : null,
      stuck: this.#slope.reason ?? null,
    };
  }

  async #apply(update: StepUpdate): Promise<AppliedUpdate> {
    const applied = this.#checked(update, this.stepsDone);
    const { recorder } = this.#model.gpu;
    if (this.#optimizer.waits(applied.step)) await this.#optimizer.renew(applied.step);
    recorder.divide();
    this.#optimizer.beginStep(applied.step);
    this.#optimizer.update(applied);
    this.stepsDone++;
    await recorder.flush();
    const { learningRate, projectedGradients, curvatures } = applied;
    return {
      step: this.stepsDone,
      learningRate,
      projectedGradients: [...projectedGradients],
      ...(curvatures ? { curvatures: [...curvatures] } : {}),
    };
  }

  /** An update as the optimiser takes it. @param step zero-based, the one that it must be for */
  #checked(update: StepUpdate, step: number): AppliedStep {
    this.#checkStep(update.step, step);
    const { queries, optimizer } = this.configuration;
    const number = `step ${step + 1}`;
    const projectedGradients = f32s(update.projectedGradients, queries, `${number}: projected gradients`);
    const learningRate = Math.fround(update.learningRate ?? learningRateAt(step, this.configuration));
    const expected = expectedOf('learningRate', learningRate);
    if (expected !== undefined) {
      throw new SubzeroError(
        'invalid_argument',
        words`${number}: ${parameter('learningRate')} must be ${expected}; got ${learningRate}`,
        { parameter: 'learningRate' },
      );
    }
    if (!recordsCurvatures(methods[optimizer])) {
      if (!update.curvatures) return { step, learningRate, projectedGradients };
      throw new SubzeroError(
        'invalid_argument',
        `${number}: ${optimizer} has no curvatures; only ${optimizersThat(recordsCurvatures).join(' and ')} has`,
        { parameter: 'curvatures' },
      );
    }
    const curvatures = f32s(update.curvatures ?? [], queries, `${number}: curvatures`);
    if (curvatures.every((curvature) => curvature >= 0)) return { step, learningRate, projectedGradients, curvatures };
    throw new SubzeroError('invalid_argument', `${number}: curvatures are at least 0`, { parameter: 'curvatures' });
  }

  /** @param wanted from 1 @param step zero-based, the next one */
  #checkStep(wanted: number | undefined, step: number): void {
    if (wanted !== undefined && wanted !== step + 1) {
      throw new SubzeroError('conflict', `the next step of this run is ${step + 1}; got step ${wanted}`, {
        parameter: 'step',
      });
    }
    const { steps } = this.configuration;
    if (step < steps) return;
    throw new SubzeroError(
      'conflict',
      `this run has made all of its ${steps} steps; for more, begin one with a higher number of steps and replay ` +
        `this trajectory`,
      { parameter: 'steps' },
    );
  }

  /**
   * What the data add to the loss. The base is asked about them where the objective compares with it: with the weights
   * in memory, as long as they are the base's.
   * @param own the examples without virtual tokens, which the base does not see
   */
  async #lossOf(
    objective: ObjectiveName,
    own: readonly TokenizedExample[],
    examples: readonly TokenizedExample[],
  ): Promise<ExampleLoss> {
    const configuration = { ...this.configuration, objective };
    if (!comparesWithBase(configuration)) return lossOfRun(configuration, undefined);
    const named = configuration.anchor > 0 ? 'anchor' : 'objective';
    // What comes next may fold what is behind it.
    if (this.stepsDone > 0 && writesWeights(configuration, this.stepsDone + 1)) {
      const choice = words`${parameter(named)} ${String(configuration[named])}`;
      const problem = words`${choice} compares with the base, whose weights this run has written`;
      const others = words`${parameter('scheme')} lora, or ${parameter('change')} bank`;
      const advice = words`begin one that leaves them as they are: ${others}`;
      throw new SubzeroError('conflict', words`${problem}; ${advice}`, { parameter: named });
    }
    const { fingerprint } = this.#model;
    const base = new BaseScores({ fingerprint, storage: configuration.storage });
    for await (const _ of base.ask({ model: this.#model, scorer: this.#scorer }, own));
    base.show(own, examples);
    return lossOfRun(configuration, base);
  }

  /** @returns the examples as the run sees them, and without its virtual tokens */
  async #tokenize(data: readonly DataRow[]): Promise<{ examples: TokenizedExample[]; own: TokenizedExample[] }> {
    if (data.length === 0) throw new SubzeroError('invalid_data', 'data holds no example', { parameter: 'data' });
    const rows = data.map((value, index) => makeRow(value, `data.${index}`));
    const kinds = rows.map((row) => detectFormat(row));
    const masked = !generates(this.#model.decoder);
    if (masked) for (const [index, row] of rows.entries()) checkMasked(row, kinds[index]!);
    const other = kinds.findIndex(({ kind }) => kind !== kinds[0]!.kind);
    if (other >= 0) {
      throw rowError(
        rows[other]!,
        `rows with options, with a completion and of preferences have different losses; data.0 is of format ` +
          `"${kinds[0]!.name}", this one of "${kinds[other]!.name}"`,
      );
    }
    const texts = await Promise.all(
      rows.map(async (row, index) => ({
        source: row.source,
        ...(await kinds[index]!.read(row, { chat: this.#tokenizer, learn: this.configuration.learn })),
      })),
    );
    const { current } = this.#optimizer;
    const contextLength = contextLengthOf(this.#model, current);
    const { vocabularySize } = this.#model.decoder;
    const tokenized = tokenizeExamples(this.#tokenizer, texts, { contextLength, vocabularySize, masked });
    const examples = withLeading(tokenized.examples, leadingTokens(this.#model, current));
    const largest = Math.max(...examples.map(exampleRows));
    const { maxRows } = this.#scorer;
    if (largest > maxRows) {
      throw new SubzeroError(
        'invalid_data',
        `an example of the data has ${largest} tokens with all its options; at most ${maxRows} fit in a pass of ` +
          `this run`,
        { parameter: 'data' },
      );
    }
    return { examples, own: tokenized.examples };
  }

  /** Waits for the operation under way; those after it are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
    this.#scorer.destroy();
  }
}

const recordsCurvatures = ({ records }: Method): boolean => records?.includes('curvatures') ?? false;

/** The numbers as f32, one for each query. */
function f32s(values: readonly number[], count: number, what: string): number[] {
  const rounded = values.map(Math.fround);
  if (rounded.length !== count || !rounded.every(Number.isFinite)) {
    const got =
      rounded.length === count
        ? `${values.find((value) => !Number.isFinite(Math.fround(value)))}`
        : `${rounded.length}`;
    throw new SubzeroError(
      'invalid_argument',
      `${what} must be ${count} numbers of f32, one for each query; got ${got}`,
      {
        parameter: what.includes('curvatures') ? 'curvatures' : 'projected_gradients',
      },
    );
  }
  return rounded;
}

function checkFinite(values: readonly number[], what: string): void {
  const bad = values.find((value) => !Number.isFinite(value));
  if (bad === undefined) return;
  throw new SubzeroError(
    'conflict',
    `the ${what} is ${bad}: the run has diverged. Begin another, replay the trajectory up to where it was sound, ` +
      `and go on with a lower learning rate.`,
  );
}
