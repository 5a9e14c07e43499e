/**
 * Evaluations of the command line: of one model, or of two on the same data, with the report that is made of them.
 *
 * @module
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { kindOfRows } from '../data/rows-kind.ts';
import { taskOf } from '../data/tasks/index.ts';
import { EngineGraders } from '../engine/grader-services.ts';
import type { AnswerOptions, Engine, EvaluateRequest, EvaluationResult, Outcome } from '../engine/types.ts';
import { SubzeroError } from '../errors.ts';
import { gradeOutcomes, ungradedText } from '../evaluation/grading.ts';
import { checkMetrics, compare, measure } from '../evaluation/measure.ts';
import { metricNames, metrics, usualMetrics } from '../evaluation/metrics.ts';
import { noPreference, relativeToBase } from '../evaluation/preferences.ts';
import {
  type Evaluated,
  type EvaluationReport,
  reportData,
  reportMarkdown,
  trainedOnText,
} from '../evaluation/report.ts';
import { plural } from '../format.ts';
import { type Grader, parseGrader } from '../graders/index.ts';
import { makeFolders } from '../make-folders.ts';
import { dirname } from '../platform/index.ts';
import { diskError } from '../safetensors/disk.ts';
import { settings } from '../settings/settings.ts';
import type { StepChoice } from '../train/best.ts';
import { trainedFiles } from '../train/trained-files.ts';
import { loadOnlyModel } from './model-option.ts';
import type { TextOption } from './option.ts';
import { UsageError } from './usage-error.ts';

/** A model to be evaluated. */
export interface EvaluatedModel {
  path: string;
  step: StepChoice | undefined;
  storage?: EvaluationStorage;
  lora?: string | undefined;
}
type EvaluationStorage = NonNullable<Parameters<typeof loadOnlyModel>[2]['storage']>;

export interface EvaluationPlan {
  model: EvaluatedModel;
  baseline?: EvaluatedModel;
  /** The model that preferences are learnt against, and β of the DPO loss; that of the settings by default. */
  base?: { model: EvaluatedModel; beta: number | undefined };
  request: Omit<EvaluateRequest, 'model' | 'outcomes' | 'generate'>;
  /** Those that the data allows by default. */
  metricNames: readonly string[];
  grader?: { file: string; grader: Grader };
  answers: AnswerOptions;
  title: string;
  /** Whether prompts and rows are wanted beside scores. */
  withTexts: boolean;
}

/** What a run by rewards grades with. */
export const graderOption = {
  name: 'grader',
  type: 'text',
  placeholder: 'FILE',
  description:
    "reward: a grader in a JSON file, in the shape of OpenAI's, that says what a generated answer is worth " +
    '(docs/rewards.md)',
} as const satisfies TextOption;

/** Reads a grader. @throws UsageError for a file that holds none; SubzeroError as `parseGrader` */
export async function readGrader(file: string): Promise<{ file: string; grader: Grader }> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`--grader ${file} cannot be read: ${(error as Error).message}`, { parameter: 'grader' });
  }
  return { file, grader: await parseGrader(value) };
}

/**
 * Names of metrics as they were given, with commas or one by one.
 * @param named the options that were given of those that metrics need
 * @throws UsageError for a metric that there is not, or that lacks its option
 */
export function chosenMetrics(given: readonly string[], named: { grader: boolean; base: boolean }): string[] {
  const names = [...new Set(given.flatMap((each) => each.split(',')).filter((name) => name !== ''))];
  const unknown = names.find((name) => !metricNames.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`--metric: there is no metric "${unknown}"; there are ${metricNames.join(', ')}`, {
      parameter: 'metric',
    });
  }
  for (const name of names) {
    const { option, needs } = metrics[name]!;
    if (option === undefined || named[option]) continue;
    throw new UsageError(`--metric ${name} needs ${needs}; name one with --${option}`, { parameter: 'metric' });
  }
  return named.grader && names.length > 0 && !names.includes('reward') ? ['reward', ...names] : names;
}

/**
 * Where reports go; folders are made before an evaluation is, so that none is lost for want of one.
 * @throws UsageError for an ending that says no format; SubzeroError for a folder that cannot be made
 */
export async function checkReports(files: readonly string[]): Promise<void> {
  const other = files.find((file) => !/\.(md|json)$/i.test(file));
  if (other !== undefined) {
    throw new UsageError(`--report ${other}: the name of a report must end in .md or .json`, { parameter: 'report' });
  }
  for (const file of files) {
    await makeFolders(dirname(file)).catch((error: unknown) => {
      throw diskError(error, dirname(file), 'make');
    });
  }
}

/**
 * Writes a report into files, in the format that their endings say.
 * @throws SubzeroError for a file that cannot be written
 */
export function writeReports(report: EvaluationReport, files: readonly string[]): void {
  for (const file of files) {
    const isMarkdown = /\.md$/i.test(file);
    const text = isMarkdown ? reportMarkdown(report) : `${JSON.stringify(reportData(report), undefined, 2)}\n`;
    try {
      writeFileSync(file, text);
    } catch (error) {
      throw diskError(error, file, 'write');
    }
  }
}

/** A model with its result. */
interface Examined extends Evaluated {
  result: EvaluationResult;
  outcomes: Outcome[];
}

/**
 * Evaluates one model after the other: never are both in memory.
 * @param onProgress told the model's name, too
 */
export async function evaluateByPlan(
  engine: Engine,
  plan: EvaluationPlan,
  onProgress: (name: string, done: number, total: number) => void,
  signal: AbortSignal,
): Promise<{ report: EvaluationReport; result: EvaluationResult }> {
  await checkRows(plan);
  const base = plan.base && (await examine(engine, withoutAnswers(plan), plan.base.model, onProgress, signal));
  const above = (examined: Examined): Examined => {
    if (!base) return examined;
    return { ...examined, outcomes: relativeToBase(examined.outcomes, base.outcomes, betaOf(plan.base!)) };
  };
  const baseline = plan.baseline && above(await examine(engine, plan, plan.baseline, onProgress, signal));
  const model = above(await examine(engine, plan, plan.model, onProgress, signal));
  const names = plan.metricNames.length > 0 ? plan.metricNames : usualMetrics(model.outcomes);
  const compared = baseline && compare(baseline.outcomes, model.outcomes, names);
  const measured = compared ? compared.map(({ after }) => after) : measure(model.outcomes, names);
  const { result, ...evaluated } = model;
  const report: EvaluationReport = {
    ...{ title: plan.title, data: dataText(plan.request.data), notes: notesOf(plan, model) },
    ...{ model: evaluated, measured },
    ...(baseline && compared ? { baseline: withoutResult(baseline), compared } : {}),
  };
  return { report, result };
}

/** Refuses what the rows have nothing for, before a model is loaded. @throws SubzeroError as `checkMetrics` */
async function checkRows({ request, grader, base, metricNames: names }: EvaluationPlan): Promise<void> {
  if (names.length === 0 && !grader && !base) return;
  const { columns, template, labels } = request;
  const rows = await kindOfRows(request.data, 'evaluation', {
    ...(columns ? { columns } : {}),
    ...(template === undefined ? {} : { template }),
    ...(labels ? { labels } : {}),
  });
  if (!rows) return;
  if (base && rows.kind !== 'preference') throw noPreference(rows.source);
  checkMetrics(
    names.filter((name) => name !== 'reward'),
    rows,
  );
  if (!grader || rows.hasPrompts) return;
  const problem = `${rows.source} is a text by itself and has no answer that could be graded`;
  throw new SubzeroError('invalid_argument', problem, { parameter: 'grader' });
}

function betaOf({ beta = settings.dpoBeta.default }: NonNullable<EvaluationPlan['base']>): number {
  return beta;
}

/** What is amiss with the models' evaluations, for people. */
export function evaluationWarnings({ model, baseline }: EvaluationReport): string[] {
  return [model, baseline].flatMap((each) => {
    if (!each) return [];
    const { name, outcomes, truncated, failures } = each;
    const of = baseline ? ` (${name})` : '';
    return [
      ...trainedOnText(each),
      ...(truncated === undefined
        ? []
        : [
            `${truncated} of ${plural(outcomes.length, 'example')} did not fit the model's context and lost the ` +
              `start of their prompt${of}`,
          ]),
      ...(failures && failures.count > 0 ? [ungradedText(failures, outcomes.length, of)] : []),
    ];
  });
}

/** The base is asked for log-probabilities alone. */
function withoutAnswers({ grader: _, ...plan }: EvaluationPlan): EvaluationPlan {
  return { ...plan, metricNames: [], withTexts: false };
}

function withoutResult({ result: _, ...evaluated }: Examined): Evaluated {
  return evaluated;
}

async function examine(
  engine: Engine,
  { request, grader, metricNames: names, answers, withTexts }: EvaluationPlan,
  { path, ...choice }: EvaluatedModel,
  onProgress: (name: string, done: number, total: number) => void,
  signal: AbortSignal,
): Promise<Examined> {
  const id = await loadOnlyModel(engine, path, choice);
  const name = nameOf(path, choice);
  const generates = grader !== undefined || names.some((each) => metrics[each]!.generates);
  try {
    const { outcomes = [], ...result } = await engine.evaluate(
      { ...request, model: id, outcomes: withTexts ? 'texts' : 'scores', ...(generates ? { generate: answers } : {}) },
      (done, total) => onProgress(name, done, total),
      signal,
    );
    const trainedOn = await trainedFiles(path, request.data);
    const examined = {
      ...{ name, outcomes, result },
      ...(result.truncated ? { truncated: result.truncated } : {}),
      ...(trainedOn.length > 0 ? { trainedOn } : {}),
    };
    if (!grader) return examined;
    const judges = new EngineGraders(engine, signal);
    try {
      return { ...examined, failures: await gradeOutcomes(grader.grader, outcomes, judges, signal) };
    } finally {
      await judges.close();
    }
  } finally {
    await engine.unloadModel(id);
  }
}

function nameOf(path: string, { step, lora }: Omit<EvaluatedModel, 'path'>): string {
  return `${path}${step === undefined ? '' : ` at step ${step}`}${lora === undefined ? '' : ` with ${lora}`}`;
}

function dataText(data: EvaluateRequest['data']): string {
  if (!('task' in data)) return `\`${data.file}\``;
  return `task ${taskOf(data.task).name} in \`${data.directory}\``;
}

function notesOf({ grader, base }: EvaluationPlan, { outcomes }: Examined): string[] {
  const generated = outcomes.some(({ answer, chosen }) => answer !== undefined && chosen === undefined);
  return [
    ...(grader ? [`Reward: ${grader.grader.type} "${grader.grader.name}" (\`${grader.file}\`)`] : []),
    ...(generated ? ['Answers are generated greedily'] : []),
    ...(base
      ? [`Margins are those above \`${nameOf(base.model.path, base.model)}\`; β of the DPO loss: ${betaOf(base)}`]
      : []),
    ...(outcomes.some(({ margin }) => margin !== undefined)
      ? ['The margin of a preference is log p(chosen) − log p(rejected), of whole answers']
      : outcomes.some(({ chosen }) => chosen !== undefined)
        ? ['The answer to a row with options is the option with the highest mean log-probability of a token']
        : []),
  ];
}
