/**
 * Training towards what no loss can say: curves of what greedy answers are worth on held-out rows, over the steps.
 *
 * @module
 */

import type { DataSource } from '../data/source.ts';
import { SubzeroError } from '../errors.ts';
import { plural } from '../format.ts';
import type { GraderDescription } from '../graders/index.ts';
import { join } from '../platform/index.ts';
import { resolveConfiguration, type TrainConfiguration } from '../settings/configuration.ts';
import type { StepChoice } from '../train/best.ts';
import { checkHeldOut } from './data-files.ts';
import { defineExperiment, type Experiment, type Finished, type Laboratory } from './experiment.ts';
import { grouped } from './groups.ts';
import { plotSvg, pointOf } from './plot.ts';
import { interval, mean, pairedDifference, type Summary, studentProbability, summary } from './statistics.ts';
import { hasDiverged } from './train-cell.ts';
import { trainingRows } from './training-rows.ts';

/** What greedy answers are worth at some steps of a run. */
interface Curve {
  points: { step: number; value: number }[];
  /** Time of the run's training. */
  trainSeconds: number;
  /** Whether the loss became no number, or training got stuck: there are no points then. */
  failed?: boolean;
}

/** A way to train towards a goal. */
interface Way {
  name: string;
  settings: Partial<TrainConfiguration>;
  grader?: GraderDescription;
}

interface Goal {
  title: string;
  question: string;
  /** What is trained on and measured, for the report. */
  method: string;
  /** What a point of a curve is. */
  measure: string;
  steps: number;
  /** Whether graders read the prompt off the rows themselves, which no columns or template may make then. */
  readsRows?: boolean;
  ways: readonly Way[];
  /** Evaluates a loaded model on the held-out rows. */
  value(laboratory: Laboratory, model: string): Promise<number>;
}

/** Evaluations of a run, the one before its first step besides. */
const evaluations = 5;

/** Held-out rows that are evaluated, unless --limit says otherwise. */
const heldOut = 64;

const json = {
  ...{ objective: 'reward', rank: 8, refresh: 100, batchSize: 16, queries: 2, epsilon: 1e-2, learningRate: 1e-3 },
  ...{ rewardTokens: 12, rewardTemperature: 1, rewardStop: ['\n'] },
} as const satisfies Partial<TrainConfiguration>;

/** The answer to `… said, "` with its opening quote is a JSON text; one that ends without a quote begins one. */
const jsonGrader: GraderDescription = {
  type: 'javascript',
  name: 'JSON',
  source: `
function grade(sample, item) {
  const text = item.prompt.slice(item.prompt.lastIndexOf('"')) + sample.output_text;
  const parses = (each) => { try { JSON.parse(each); return true; } catch { return false; } };
  if (parses(text)) return 1;
  if (parses(text + '"')) return 0.25;
  const end = text.indexOf('"', 1) + 1;
  return 0.25 + (0.5 * end) / text.length;
}`,
};

/** Words of a sentence that is wanted. */
const wantedWords = 6;

/** Answers end before the first full stop; one without is longer than what is wanted. */
const lengthGrader: GraderDescription = {
  type: 'javascript',
  name: 'length',
  source: `
function grade(sample) {
  const words = sample.output_text.split(/\\s+/).filter((word) => word !== '').length;
  return Math.max(0, 1 - Math.abs(words - ${wantedWords}) / ${wantedWords});
}`,
};

/** Many directions in deviations: rewards of lengths differ much from row to row, and by little from probe to probe. */
const length = {
  ...{ objective: 'reward', rank: 8, refresh: 100, batchSize: 16, queries: 4, epsilon: 1e-2, learningRate: 1e-4 },
  ...{ rewardTokens: 24, rewardTemperature: 0, rewardStop: ['.'], rewardScaling: 'z-score' },
} as const satisfies Partial<TrainConfiguration>;

const rowsOfPrompts =
  '--data is a folder with files of train and test, whose rows have a prompt, as those of examples/rewards.';

const goals: Readonly<Record<string, Goal>> = {
  'reward-json': {
    title: 'Valid JSON by reward alone',
    question: 'Does a small story model learn to end what somebody says as a JSON string, from rewards alone?',
    method:
      `${rowsOfPrompts} Every prompt ends with an opening quote; the answer with that quote has to be a JSON text, ` +
      'so the quote must be closed and nothing may follow. The grader gives 1 for that and less for what is near.',
    measure: 'share of greedy answers that are valid JSON',
    steps: 200,
    readsRows: true,
    ways: [{ name: 'reward', settings: json, grader: jsonGrader }],
    value: (laboratory, model) =>
      shareOfAnswers(laboratory, model, json, (prompt, answer) => {
        try {
          JSON.parse(prompt.slice(prompt.lastIndexOf('"')) + answer);
          return true;
        } catch {
          return false;
        }
      }),
  },
  'reward-length': {
    title: 'An exact length by reward alone',
    question: `Does a small story model learn to go on with a sentence of exactly ${wantedWords} words?`,
    method:
      `${rowsOfPrompts} The words up to the first full stop count; the prompts say nothing of them. The grader gives ` +
      `1 for exactly ${wantedWords}, a sixth less for each word more or less. Four directions a step, rewards in ` +
      'deviations.',
    measure: `share of greedy answers of exactly ${wantedWords} words`,
    steps: 120,
    ways: [{ name: 'reward', settings: length, grader: lengthGrader }],
    value: (laboratory, model) =>
      shareOfAnswers(laboratory, model, length, (_, answer) => {
        const words = answer.split(/\s+/).filter((word) => word !== '');
        return words.length === wantedWords;
      }),
  },
  'reward-accuracy': {
    title: 'Accuracy instead of cross-entropy',
    question: 'How far does a run come that sees only whether answers are right, beside one with the usual loss?',
    method:
      '--data are rows with options, such as the task sst2. One way minimises the share of wrong answers of a batch ' +
      '(0 or 1 an example), the other the cross-entropy; both have the same batches, directions and passes. Neither ' +
      'learning rate was searched: cross-entropy has that of the demo, accuracy twice as much with a larger ε, since ' +
      'a small change turns few answers.',
    measure: 'accuracy on held-out rows',
    steps: 200,
    ways: [
      {
        name: 'accuracy (0/1)',
        settings: { objective: 'accuracy', rank: 8, refresh: 100, batchSize: 16, epsilon: 1e-2, learningRate: 1e-4 },
      },
      {
        name: 'cross-entropy',
        settings: { rank: 8, refresh: 100, batchSize: 16, epsilon: 1e-3, learningRate: 5e-5 },
      },
    ],
    async value({ engine, request, signal }, model) {
      const limit = request.limit ?? 4 * heldOut;
      const { accuracy } = await engine.evaluate(
        { ...request.reading, model, data: request.validation ?? request.data, limit },
        undefined,
        signal,
      );
      return accuracy ?? Number.NaN;
    },
  },
};

/** The experiments, by name. */
export const rewardCurves: Readonly<Record<string, Experiment>> = Object.fromEntries(
  Object.entries(goals).map(([name, goal]) => [name, curvesOf(name, goal)]),
);

function curvesOf(name: string, goal: Goal): Experiment {
  return defineExperiment<Curve>({
    title: goal.title,
    question: goal.question,
    method:
      `${goal.method} Every run trains all parameters with SubZero for ${goal.steps} steps, or --steps. Answers of a ` +
      'step are drawn at temperature 1 for JSON and are the likeliest tokens for lengths; evaluations take the ' +
      'likeliest tokens, on rows that no run trains on. Intervals are 95 % by Student’s t over the seeds.',
    reads: ['steps', 'limit', 'learningRates'],
    data: ['train', 'evaluation'],
    async cells(request) {
      await checkHeldOut(request);
      const { columns = [], template = '' } = request.reading ?? {};
      if (goal.readsRows && (columns.length > 0 || template !== '')) {
        throw new SubzeroError(
          'invalid_argument',
          `the experiment ${name} grades the "prompt" of rows as they are; give rows that have one, and no columns ` +
            'or template',
          { parameter: columns.length > 0 ? 'columns' : 'template' },
        );
      }
      return goal.ways.flatMap(({ name: way, settings }) =>
        (request.learningRates ?? [settings.learningRate!]).flatMap((learningRate) =>
          request.seeds.map((seed) => ({ way, learningRate, seed })),
        ),
      );
    },
    async measure(laboratory, { way, learningRate, seed }) {
      const { settings, grader } = goal.ways.find((each) => each.name === way)!;
      const { steps = goal.steps } = laboratory.request;
      const own = { ...settings, steps, learningRate: Number(learningRate), seed: Number(seed) };
      const { run, trainSeconds, failed } = await train(laboratory, own, grader);
      if (failed) return { points: [], trainSeconds, failed };
      const points: Curve['points'] = [];
      for (const step of evaluatedSteps(steps)) {
        if (laboratory.signal.aborted) break;
        points.push({ step, value: await at(laboratory, run, step, (model) => goal.value(laboratory, model)) });
      }
      return { points, trainSeconds };
    },
    report: (_, finished) => report(name, goal, finished),
  });
}

/** As far apart as can be, the first and the last included. */
function evaluatedSteps(steps: number): number[] {
  const all = Array.from({ length: evaluations + 1 }, (_, index) => Math.round((index * steps) / evaluations));
  return [...new Set(all)];
}

/** Trains in the cell's folder. */
async function train(
  laboratory: Laboratory,
  settings: Partial<TrainConfiguration>,
  grader: GraderDescription | undefined,
): Promise<{ run: string; trainSeconds: number; failed: boolean }> {
  const { engine, request, folder, signal } = laboratory;
  const run = join(folder, 'run');
  const { model } = request;
  const data = await trainingRows(laboratory, request.data);
  const configuration = resolveConfiguration({ ...request.reading, ...settings });
  let [trainSeconds, failed] = [0, false];
  const wanted = { model, data, configuration, out: run, ...(grader ? { grader } : {}) };
  try {
    for await (const event of engine.train(wanted, signal)) {
      if (event.type !== 'done') continue;
      trainSeconds = event.seconds;
      failed = event.outcome === 'stuck';
    }
  } catch (error) {
    if (!hasDiverged(error)) throw error;
    failed = true;
  }
  return { run, trainSeconds, failed };
}

/** A run as it was after so many steps, loaded for as long as something is done with it. */
async function at<T>(
  { engine }: Laboratory,
  path: string,
  step: StepChoice,
  use: (id: string) => Promise<T>,
): Promise<T> {
  const id = 'experiment';
  await engine.loadModel({ id, path, step });
  try {
    return await use(id);
  } finally {
    await engine.unloadModel(id);
  }
}

async function shareOfAnswers(
  { engine, request, signal }: Laboratory,
  model: string,
  { rewardTokens: maxTokens, rewardStop: stop }: { rewardTokens: number; rewardStop: readonly string[] },
  isMet: (prompt: string, answer: string) => boolean,
): Promise<number> {
  const data: DataSource = request.validation ?? request.data;
  const generate = { maxTokens, stop };
  const wanted = { ...request.reading, model, data, limit: request.limit ?? heldOut, generate };
  const { outcomes = [] } = await engine.evaluate({ ...wanted, outcomes: 'texts' }, undefined, signal);
  return mean(outcomes.map(({ item, answer = '' }) => (isMet(String(item?.prompt), answer) ? 1 : 0)));
}

/** What a difference between the ends of curves shows. */
function changeText({ mean: change, halfWidth95 }: Summary): string {
  if (Number.isNaN(halfWidth95)) return 'one seed, which has no interval';
  if (Math.abs(change) <= halfWidth95) return 'within the interval of the difference';
  return `${change > 0 ? 'a gain' : 'a loss'} beyond the interval of the difference`;
}

function report(name: string, goal: Goal, finished: readonly Finished<Curve>[]) {
  const all = [...grouped(finished, ({ way, learningRate }) => `${way}, η ${learningRate}`)].map(([group, cells]) => ({
    group,
    cells: cells.filter(({ result }) => !result.failed),
    seeds: cells.length,
  }));
  const groups = all.filter(({ cells }) => cells.length > 0);
  const failures = all.filter(({ cells, seeds }) => cells.length < seeds);
  const firsts = (cells: readonly Finished<Curve>[]) => cells.map(({ result }) => result.points[0]!.value);
  const lasts = (cells: readonly Finished<Curve>[]) => cells.map(({ result }) => result.points.at(-1)!.value);
  const sentences = groups.map(({ group, cells }) => {
    const gained = pairedDifference(lasts(cells), firsts(cells));
    const from = mean(firsts(cells)).toFixed(3);
    const to = interval(summary(lasts(cells)), 3);
    return `${group}: ${goal.measure} from ${from} to ${to}, ${changeText(gained)}`;
  });
  return {
    lead: [
      ...(sentences.length > 0 ? [`${sentences.join('; ')}.`] : []),
      ...failures.map(
        ({ group, cells, seeds }) => `${seeds - cells.length} of ${plural(seeds, 'run')} failed: ${group}.`,
      ),
    ].join(' '),
    sections: [
      {
        title: goal.title,
        plot: {
          name: `${name}.svg`,
          describes: `${goal.measure} over the steps`,
          svg: plotSvg({
            title: goal.title,
            xTitle: 'steps',
            yTitle: goal.measure,
            series: groups.map(({ group, cells }) => ({
              name: group,
              points: cells[0]!.result.points.map(({ step }, index) =>
                pointOf(step, summary(cells.map(({ result }) => result.points[index]!.value))),
              ),
            })),
          }),
        },
        table: {
          header: ['way', 'seeds', 'before', 'after', 'difference', 'p', 'training of a run'],
          rows: groups.map(({ group, cells }) => {
            const [before, after] = [firsts(cells), lasts(cells)];
            const probability = studentProbability(after.map((value, index) => value - before[index]!));
            return [
              ...[group, String(cells.length), interval(summary(before), 3), interval(summary(after), 3)],
              interval(pairedDifference(after, before), 3),
              Number.isNaN(probability) ? '–' : probability.toPrecision(2),
              `${mean(cells.map(({ result }) => result.trainSeconds)).toFixed(0)} s`,
            ];
          }),
        },
      },
    ],
  };
}
