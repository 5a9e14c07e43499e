/**
 * Steps towards a reward: under every probe the answers to the batch's prompts are generated, those of all probes in
 * the same passes, and graded, and a step goes up the mean reward. All probes of a step see the same prompts, and draw
 * from the same random numbers (the seed of a text depends on run, step and its place in the batch), so that rewards
 * differ by what the probes differ in.
 *
 * @module
 */

import { concurrently } from '../concurrently.ts';
import type { TokenizedExample } from '../data/example.ts';
import { SubzeroError } from '../errors.ts';
import { plural } from '../format.ts';
import { Generator, passRows } from '../generate/generator.ts';
import type { Grade, Grader, GraderServices } from '../graders/index.ts';
import type { Model } from '../model/model.ts';
import { type LossSums, type MeasureSum, noLoss } from '../objectives/loss.ts';
import type { Probes } from '../ops/probes.ts';
import { keyOfSeed, philox4x32, purposes } from '../random/philox.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { loadTokenizer } from '../tokenizer/index.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';
import type { PromptDrift } from './compared-rows.ts';
import type { EvaluationResult } from './events.ts';
import type { RunSources } from './run.ts';
import type { ScoreStep } from './shards.ts';

/** Answers that are graded at once; those of judging models are generated together. */
const gradedAtOnce = 32;

/** Prompts of an evaluation that are answered at once. */
const answeredAtOnce = 64;

/** The step whose random numbers evaluations draw from: no run has so many. */
const evaluationStep = 0xffff_ffff;

/** Most bytes of the logits that the answers of a step take at a time. */
const logitBytes = 256 * 1024 * 1024;

/** Most characters of a row that a notice shows. */
const shownOfRow = 80;

/** Added to a deviation, so that equal rewards divide by something. */
const leastDeviation = 1e-8;

/** What a run grades with. */
export interface RewardSource {
  grader: Grader;
  services: GraderServices;
}

/** What a run grades with; undefined for one that has no grader. */
export function rewardOf({ grader }: RunSources, services: GraderServices = {}): RewardSource | undefined {
  return grader && { grader, services };
}

/** The rewards of some answers: sums, which add. */
interface RewardSums {
  rewards: number;
  answers: number;
  tokens: number;
}

/** What answers are generated with, and graded by. */
interface RewardParts {
  model: Model;
  optimizer: ZerothOrderOptimizer;
  configuration: TrainConfiguration;
  source: RewardSource;
  /** Where an anchor holds the run near its base. */
  drift?: PromptDrift | undefined;
}

export class RewardScorer {
  readonly #generator: Generator;
  /** Answers of which a pass gives the next tokens. */
  readonly #answersAtOnce: number;
  readonly #optimizer: ZerothOrderOptimizer;
  readonly #configuration: TrainConfiguration;
  readonly #source: RewardSource;
  readonly #drift: PromptDrift | undefined;
  readonly #signal: AbortSignal | undefined;
  /** The state that answers are generated with. */
  #probes: Probes;
  #failures = 0;
  #firstFailure: string | undefined;
  /** Whether any answer has been graded. */
  #isGraded = false;

  private constructor(
    parts: RewardParts,
    tokenizer: Awaited<ReturnType<typeof loadTokenizer>>,
    signal: AbortSignal | undefined,
  ) {
    this.#optimizer = parts.optimizer;
    this.#configuration = parts.configuration;
    this.#source = parts.source;
    this.#drift = parts.drift;
    this.#signal = signal;
    this.#probes = parts.optimizer.current;
    const { gpu, decoder } = parts.model;
    const rowBytes = 4 * decoder.vocabularySize;
    this.#answersAtOnce = Math.min(passRows, Math.floor(Math.min(gpu.bindingLimit, logitBytes) / rowBytes));
    this.#generator = new Generator(parts.model, tokenizer, () => this.#probes, true);
  }

  /** Keys, values and logits of answers take memory of their own, which no plan counts. */
  static async open(parts: RewardParts, signal?: AbortSignal): Promise<RewardScorer> {
    return new RewardScorer(parts, await loadTokenizer(parts.model.directory), signal);
  }

  /**
   * Minus the rewards of a batch, by probe, and the anchor's share.
   * @throws SubzeroError `cancelled` when the signal is aborted; `invalid_argument` where no answer at all can be
   *   graded
   */
  readonly scoreStep: ScoreStep = async (step, batch) => {
    const { probeCount, probesAtOnce } = this.#optimizer;
    const sums: RewardSums[] = [];
    const most = Math.max(1, Math.min(probesAtOnce, Math.floor(this.#answersAtOnce / batch.length)));
    for (let first = 0; first < probeCount; first += most) {
      const probes = this.#optimizer.perturb(step, first, Math.min(most, probeCount - first));
      sums.push(...(await this.#rewardsOf(batch, probes, step, 0)));
    }
    this.#checkGrader();
    const drifts = await this.#drift?.ofStep(batch, this.#optimizer, step);
    const losses = sums.map(({ rewards, answers }) => -rewards / answers);
    const shown = this.#configuration.rewardScaling === 'z-score' ? standardised(losses) : losses;
    return sums.map((sum, probe) => lossSums(sum, shown[probe]! + this.#anchored(drifts?.[probe]), drifts?.[probe]));
  };

  /** The anchor's share of a loss. */
  #anchored(drift: MeasureSum | undefined): number {
    return drift ? this.#configuration.anchor * meanDrift(drift) : 0;
  }

  /**
   * The mean reward under the model as it stands, and its negative, with the anchor's share, as the loss.
   * @throws SubzeroError `cancelled` when the signal is aborted
   */
  async evaluate(examples: readonly TokenizedExample[], probes: Probes): Promise<EvaluationResult> {
    const started = performance.now();
    let all: RewardSums = { rewards: 0, answers: 0, tokens: 0 };
    let drift = this.#drift && { sum: 0, count: 0 };
    for (let start = 0; start < examples.length; start += answeredAtOnce) {
      const part = examples.slice(start, start + answeredAtOnce);
      const [sums] = await this.#rewardsOf(part, probes, evaluationStep, start);
      const { rewards, answers, tokens } = sums!;
      all = { rewards: all.rewards + rewards, answers: all.answers + answers, tokens: all.tokens + tokens };
      const more = await this.#drift?.of(part, probes);
      if (drift && more) drift = { sum: drift.sum + more.sum, count: drift.count + more.count };
    }
    const reward = all.rewards / all.answers;
    return {
      ...{ examples: examples.length, loss: -reward + this.#anchored(drift) },
      ...{ accuracy: null, f1: null, exactMatch: null, tokens: all.tokens },
      measures: {
        ...{ reward, answerTokens: all.tokens / all.answers },
        ...(drift ? { drift: meanDrift(drift) } : {}),
      },
      seconds: (performance.now() - started) / 1000,
    };
  }

  /** What could not be graded since the last call, and counts as a reward of 0. */
  takeNotice(): string | undefined {
    if (this.#firstFailure === undefined) return undefined;
    const notice =
      `${plural(this.#failures, 'answer')} could not be graded (taken as 0); ` + `the first: ${this.#firstFailure}`;
    this.#failures = 0;
    this.#firstFailure = undefined;
    return notice;
  }

  /** The rewards under each of the probes, whose answers share passes. */
  async #rewardsOf(
    examples: readonly TokenizedExample[],
    probes: Probes,
    step: number,
    firstPlace: number,
  ): Promise<RewardSums[]> {
    this.#probes = probes;
    // Texts begin in this order as far as memory goes, so that no probe has many rows where another has few.
    const wanted = examples.flatMap((example, index) =>
      Array.from({ length: probes.count }, (_, probe) => ({ example, probe, place: firstPlace + index })),
    );
    const answers = await Promise.all(
      wanted.map(({ example, probe, place }) => this.#answer(example, { step, place, probe })),
    );
    if (this.#signal?.aborted) throw new SubzeroError('cancelled', 'the grading was cancelled');
    const { grade } = await import('../graders/index.ts');
    const grades: Grade[] = [];
    await concurrently(answers, gradedAtOnce, async ({ text }, index) => {
      const item: unknown = JSON.parse(wanted[index]!.example.generation!.item ?? '{}');
      grades[index] = await grade(this.#source.grader, { outputText: text, item }, this.#source.services);
    });
    // In the order of the examples, so that a sum has the same bits whichever grade came first.
    return Array.from({ length: probes.count }, (_, probe) => {
      const own = wanted.flatMap((each, index) => (each.probe === probe ? [index] : []));
      return {
        rewards: own.reduce((sum, index) => sum + this.#rewardOf(grades[index]!, wanted[index]!.example), 0),
        answers: own.length,
        tokens: own.reduce((sum, index) => sum + answers[index]!.tokens, 0),
      };
    });
  }

  #rewardOf({ reward, failures: [failure] }: Grade, { generation }: TokenizedExample): number {
    const problem = failure?.message ?? (Number.isFinite(reward) ? undefined : `the grader returned ${reward}`);
    if (problem === undefined) {
      this.#isGraded = true;
      return reward;
    }
    this.#failures++;
    this.#firstFailure ??= `${problem} (row ${shownRow(generation?.item ?? '{}')})`;
    return 0;
  }

  /** A grader that fails on every answer of the first step is wrong itself: nothing would ever be learnt. */
  #checkGrader(): void {
    if (this.#isGraded) return;
    throw new SubzeroError(
      'invalid_argument',
      `none of the ${this.#failures} answers of the first step could be graded; the first: ${this.#firstFailure}`,
      { parameter: 'grader' },
    );
  }

  async #answer(
    example: TokenizedExample,
    { step, place, probe }: { step: number; place: number; probe: number },
  ): Promise<{ text: string; tokens: number }> {
    const { rewardTokens: maxTokens, rewardTemperature: temperature, rewardStop, seed } = this.#configuration;
    const request = { maxTokens, temperature, stop: [...rewardStop], seed: seedOfText(seed, step, place) };
    const text = { adapters: [], users: [], probe };
    for await (const event of this.#generator.generate(request, example.generation!.prompt, this.#signal, text)) {
      if (event.type === 'done') return { text: event.text, tokens: event.completionTokens };
    }
    throw new SubzeroError('cancelled', 'the answer was cancelled');
  }

  async destroy(): Promise<void> {
    await this.#generator.destroy();
  }
}

/** A row in a notice. */
function shownRow(json: string): string {
  return json.length <= shownOfRow ? json : `${json.slice(0, shownOfRow)}…`;
}

/** What the draws of a text begin with: word 0 of the Philox block (place, 2, step, purpose). */
function seedOfText(seed: number, step: number, place: number): number {
  return philox4x32([place, 2, step >>> 0, purposes.sampling << 24], keyOfSeed(seed))[0]!;
}

/** Differences from the mean in units of the deviation, as evolution strategies have them. */
export function standardised(values: readonly number[]): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return values.map((value) => (value - mean) / (Math.sqrt(variance) + leastDeviation));
}

/** In nats a token; 0 where no prompt has a token to predict. */
function meanDrift({ sum, count }: MeasureSum): number {
  return count === 0 ? 0 : sum / count;
}

/** As sums of a loss, whose mean is the given one. Accuracy has no meaning here, so they count as completions do. */
function lossSums({ rewards, answers, tokens }: RewardSums, loss: number, drift: MeasureSum | undefined): LossSums {
  return {
    ...noLoss,
    ...{ completionLoss: loss * answers, completionTokens: answers, completionExamples: answers },
    tokens,
    measures: {
      ...{ reward: { sum: rewards, count: answers }, answerTokens: { sum: tokens, count: answers } },
      ...(drift ? { drift: { sum: meanDrift(drift), count: 1 } } : {}),
    },
  };
}
