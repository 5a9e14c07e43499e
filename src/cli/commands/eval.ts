import type { EvaluationResult } from '../../engine/types.ts';
import { metricNames } from '../../evaluation/metrics.ts';
import { type EvaluationReport, reportLines } from '../../evaluation/report.ts';
import { formatFixed, plural } from '../../format.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { engineOptions, jsonOption } from '../common-options.ts';
import { chosenTask, dataOption, taskFileOption, taskOption } from '../data-options.ts';
import {
  checkReports,
  chosenMetrics,
  type EvaluationPlan,
  evaluateByPlan,
  evaluationWarnings,
  readGrader,
  writeReports,
} from '../evaluation.ts';
import { localAdapter, localData, localPath, offlineOption } from '../hub-option.ts';
import { interruptible } from '../interrupt.ts';
import { loraOption, modelOption, stepOption, storageOption } from '../model-option.ts';
import type { OptionSpecification, OptionValues } from '../option.ts';
import { createProgress } from '../progress.ts';
import { givenReading, readingOptions } from '../reading-options.ts';
import { requireOption } from '../require-option.ts';
import { scoresText } from '../scores-text.ts';
import { givenSettings, settingOption } from '../setting-options.ts';
import { UsageError } from '../usage-error.ts';
import { withEngine } from '../with-engine.ts';

const measuring = 'What is measured';

/** β of the DPO loss. */
const preferenceBeta: readonly OptionSpecification[] = [
  { ...settingOption('dpoBeta'), description: 'with --base: β of the DPO loss', group: measuring },
];

const options = [
  modelOption,
  { ...stepOption, group: 'Model and data' },
  loraOption,
  storageOption,
  offlineOption,
  taskOption,
  taskFileOption,
  dataOption,
  {
    name: 'limit',
    type: 'integer',
    minimum: 1,
    description: 'use only the first N examples',
    defaultText: 'all',
    group: 'Model and data',
  },
  // Their values are for givenReading alone.
  ...(readingOptions as readonly []),
  {
    name: 'metric',
    type: 'list',
    placeholder: 'NAME',
    description: `repeatable, or with commas: ${metricNames.join(', ')}; those of texts have answers generated`,
    group: measuring,
  },
  {
    name: 'grader',
    type: 'text',
    placeholder: 'FILE',
    description:
      "a grader in a JSON file, in the shape of OpenAI's; reward is the mean of what it gives (docs/evaluation.md)",
    group: measuring,
  },
  {
    name: 'compare',
    type: 'text',
    placeholder: 'DIR|RUN',
    description: 'another model, or the same run with --compare-step, to compare with on the same examples',
    group: measuring,
  },
  {
    ...stepOption,
    name: 'compare-step',
    description: 'with --compare RUN: the state of that run after this step',
    group: measuring,
  },
  {
    name: 'base',
    type: 'text',
    placeholder: 'DIR|RUN',
    description:
      'for preferences: the model before they were learnt; margins are those above its own, and there is the DPO loss',
    group: measuring,
  },
  // Its value is for givenSettings alone.
  ...(preferenceBeta as readonly []),
  {
    name: 'max-tokens',
    type: 'integer',
    minimum: 1,
    maximum: 1_000_000,
    description: 'most tokens of a generated answer',
    defaultText: '50 for answers of one line, 256 for others',
    group: measuring,
  },
  {
    name: 'stop',
    type: 'list',
    placeholder: 'TEXT',
    description: 'end generated answers before this text',
    group: measuring,
  },
  {
    name: 'report',
    type: 'list',
    placeholder: 'FILE',
    description: 'write a report: in Markdown to a name that ends in .md, with every example to one that ends in .json',
    group: measuring,
  },
  jsonOption,
  ...engineOptions,
] as const;

type EvalContext = CommandContext<OptionValues<typeof options>>;

export const evalCommand = defineCommand({
  name: 'eval',
  summary: 'Measure how well a model does on a task or a data file, alone or against another',
  usage: [
    'eval --model DIR|RUN (--task NAME --data DIR | --data FILE|DIR) [options]',
    'eval --compare DIR|RUN DIR|RUN (--task NAME --data DIR | --data FILE|DIR) [options]',
  ],
  operands: ['model'],
  options,
  examples: [
    {
      text: 'accuracy of the example model before any training',
      command: 'subzero eval --model examples/reviews-3m --task sst2 --data examples/sst2',
    },
    {
      text: 'the same for a run, as JSON',
      command: 'subzero eval --model runs/sst2 --task sst2 --data examples/sst2 --json',
    },
    {
      text: 'has training helped?',
      command: 'subzero eval --compare examples/reviews-3m runs/sst2 --task sst2 --data examples/sst2 --report sst2.md',
    },
    {
      text: 'generated answers, by ROUGE and by a grader of your own',
      command: 'subzero eval --model runs/mine --data test.jsonl --metric rouge-l,exact-match --grader grader.json',
    },
    {
      text: 'has reward training helped? on rows with a prompt and what the grader asks for',
      command: 'subzero eval --compare DIR runs/mine --data prompts.jsonl --grader grader.json --report reward.md',
    },
    {
      text: 'preferences: accuracy, margin and DPO loss against the model that the run began with',
      command: 'subzero eval --model runs/mine --base DIR --data preferences.jsonl',
    },
  ],
  async run(context) {
    const plan = await planOf(context);
    const { quiet, json, report: files } = context.options;
    return withEngine(context, async (engine) => {
      const progress = createProgress(context, quiet || json);
      const show = (name: string, done: number, total: number): void =>
        progress.update(`${plan.baseline ? `${name}: ` : ''}evaluated ${done} of ${plural(total, 'example')}`);
      const { result: evaluated, exitCode } = await interruptible(
        context,
        () => progress.line('stopping'),
        async (signal) => {
          try {
            return await evaluateByPlan(engine, plan, show, signal);
          } finally {
            progress.end();
          }
        },
      );
      if (exitCode !== 0) return exitCode;
      const { report, result } = evaluated;
      for (const warning of evaluationWarnings(report)) progress.line(`warning: ${warning}`);
      writeReports(report, files);
      context.standardOutput.write(
        `${json ? JSON.stringify({ ...result, ...figures(report) }) : describe(evaluated)}\n`,
      );
      return 0;
    });
  },
});

async function planOf(context: EvalContext): Promise<EvaluationPlan> {
  const { options: values } = context;
  const given = requireOption(values.model, 'eval', 'model DIR|RUN');
  if (values.compareStep !== undefined && values.compare === undefined) {
    throw new UsageError('--compare-step needs --compare RUN', { parameter: 'compare-step' });
  }
  const { dpoBeta } = givenSettings(context);
  if (dpoBeta !== undefined && values.base === undefined) {
    throw new UsageError('--dpo-beta needs --base DIR|RUN, which the DPO loss compares with', {
      parameter: 'dpo-beta',
    });
  }
  await checkReports(values.report);
  const grader = values.grader === undefined ? undefined : await readGrader(values.grader);
  const names = chosenMetrics(values.metric, { grader: grader !== undefined, base: values.base !== undefined });
  const data = await localData(context, chosenTask(values.task, values.taskFile), values.data);
  const { storage, maxTokens, stop, limit } = values;
  const lora = await localAdapter(context, values.lora);
  const baseline =
    values.compare === undefined
      ? {}
      : { baseline: { path: await localPath(context, values.compare), step: values.compareStep, storage } };
  const base =
    values.base === undefined
      ? {}
      : { base: { model: { path: await localPath(context, values.base), step: undefined, storage }, beta: dpoBeta } };
  return {
    title: values.compare === undefined ? 'Evaluation' : 'Comparison of two models',
    model: { path: await localPath(context, given), step: values.step, storage, lora },
    ...baseline,
    ...base,
    request: { data, ...givenReading(context), ...(limit === undefined ? {} : { limit }) },
    metricNames: names,
    ...(grader ? { grader } : {}),
    answers: {
      ...(maxTokens === undefined ? {} : { maxTokens }),
      ...(stop.length === 0 ? {} : { stop: [...stop] }),
    },
    withTexts: grader !== undefined || values.report.length > 0,
  };
}

/** What a report has beside its examples, for one line of JSON. */
function figures({ measured, compared, model, baseline }: EvaluationReport): object {
  return {
    metrics: measured,
    ...(model.failures ? { failures: model.failures } : {}),
    ...(compared ? { baseline: baseline!.name, comparison: compared } : {}),
  };
}

function describe({ report, result }: { report: EvaluationReport; result: EvaluationResult }): string {
  const { loss, examples, seconds } = result;
  // Prompts have no answer to take a loss of, and the losses of preferences are among the metrics.
  const isScored = Number.isFinite(loss) && report.model.outcomes.every(({ margin }) => margin === undefined);
  const scores = isScored ? `${scoresText(result)}loss ${formatFixed(loss)} on ` : '';
  const line = `${scores}${plural(examples, 'example')} (${seconds.toFixed(1)} s)`;
  return [line, ...reportLines(report).map((each) => `  ${each}`)].join('\n');
}
