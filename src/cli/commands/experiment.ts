import { conduct } from '../../experiments/conduct.ts';
import type { ExperimentRequest } from '../../experiments/experiment.ts';
import { experiments } from '../../experiments/index.ts';
import { formatDuration } from '../../format.ts';
import { defineCommand } from '../command.ts';
import { engineOptions, jsonOption } from '../common-options.ts';
import { chosenTask, dataOption, dataSource, taskFileOption, taskOption } from '../data-options.ts';
import { localPath, offlineOption } from '../hub-option.ts';
import { interruptible } from '../interrupt.ts';
import { camelCase, kebabCase } from '../option.ts';
import { createProgress } from '../progress.ts';
import { givenReading, readingOptions } from '../reading-options.ts';
import { requireOption } from '../require-option.ts';
import { UsageError } from '../usage-error.ts';
import { withEngine } from '../with-engine.ts';

const group = 'What is measured';

/** Which numbers a list takes. */
const ranges = {
  'whole numbers from 0': (value: number) => Number.isSafeInteger(value) && value >= 0,
  'whole numbers from 1': (value: number) => Number.isSafeInteger(value) && value >= 1,
  'numbers above 0': (value: number) => value > 0 && Number.isFinite(value),
};

/** Options with a list of values: what one is, and which numbers; without them names. */
const lists: readonly { name: string; what: string; numbers?: keyof typeof ranges }[] = [
  { name: 'ranks', what: 'a rank r', numbers: 'whole numbers from 1' },
  { name: 'refreshes', what: 'a period F', numbers: 'whole numbers from 1' },
  { name: 'learning-rates', what: 'a learning rate η', numbers: 'numbers above 0' },
  {
    name: 'stages',
    what: 'a number of steps of tuning after which to look; 0 is the model as it is',
    numbers: 'whole numbers from 0',
  },
  { name: 'optimizers', what: 'an optimiser' },
  { name: 'schemes', what: 'a scheme' },
  { name: 'tasks', what: 'a task, whose folder is in that of --data' },
];

export const experimentCommand = defineCommand({
  name: 'experiment',
  summary: 'Answer a question about the methods on a model of your own, with seeds and intervals',
  usage: ['experiment NAME --model DIR [--task NAME] --data PATH --out DIR [options]'],
  details: [
    ...Object.entries(experiments).map(([name, { title, question }]) => `${name}: ${title} ${question}`),
    'The folder gets raw figures (cells.jsonl), a report (report.md) and plots. Ctrl-C ends it after the current ' +
      'measurement is given up; the same command goes on with what is missing.',
  ],
  operands: ['name'],
  options: [
    {
      name: 'name',
      type: 'text',
      choices: Object.keys(experiments),
      placeholder: 'NAME',
      description: 'which experiment; the name of the option can be left out',
      group,
    },
    {
      name: 'model',
      type: 'text',
      placeholder: 'DIR',
      description: 'model directory, or ORG/NAME[@REVISION] on the Hugging Face Hub',
      group,
    },
    { ...offlineOption, group },
    taskOption,
    taskFileOption,
    dataOption,
    {
      name: 'validation',
      type: 'text',
      placeholder: 'PATH',
      description: 'data to evaluate on',
      defaultText: "the task's own",
      group,
    },
    { name: 'out', type: 'text', placeholder: 'DIR', description: 'folder for figures and report', group },
    { name: 'seeds', type: 'integer', minimum: 1, maximum: 100, default: 5, description: 'how many seeds', group },
    { name: 'first-seed', type: 'integer', minimum: 0, default: 0, description: 'the first of them', group },
    {
      name: 'steps',
      type: 'integer',
      minimum: 1,
      description: 'steps of a run, or directions of an estimate',
      defaultText: 'those of the experiment',
      group,
    },
    {
      name: 'limit',
      type: 'integer',
      minimum: 1,
      description: 'evaluate on so many examples',
      defaultText: 'all',
      group,
    },
    {
      name: 'batch-size',
      type: 'integer',
      minimum: 1,
      maximum: 65_536,
      description: 'examples of a training step',
      defaultText: '16',
      group,
    },
    // Their values are for givenReading alone.
    ...(readingOptions as readonly []),
    ...lists.map(({ name, what }) => ({
      name,
      type: 'list' as const,
      description: `${what}; repeatable, or with commas between them`,
      group,
    })),
    ...engineOptions,
    { ...jsonOption, description: 'print every event as a JSON line' },
  ],
  examples: [
    {
      text: 'how long should a subspace be kept?',
      command:
        'subzero experiment refresh --model examples/reviews-3m --task sst2 --data examples/sst2 \\\n' +
        '  --out experiments/refresh',
    },
  ],
  async run(context) {
    const { options } = context;
    const name = requireOption(options.name, 'experiment', 'name NAME');
    const experiment = experiments[name]!;
    const model = requireOption(options.model, 'experiment', 'model DIR');
    const out = requireOption(options.out, 'experiment', 'out DIR');
    const varied = Object.fromEntries(
      lists.flatMap(({ name: list, numbers }): [string, readonly (string | number)[]][] => {
        const key = camelCase(list);
        const texts = (options as unknown as Record<string, readonly string[]>)[key]!;
        if (texts.length === 0) return [];
        const parts = texts.flatMap((text) => text.split(',')).map((part) => part.trim());
        // The same value twice is the same cells.
        const values = [...new Set(parts)].filter((value) => value !== '');
        if (values.length === 0) throw new UsageError(`--${list} has no value`, { parameter: list });
        if (!experiment.reads.some((each) => each === key)) {
          const read = experiment.reads.map((each) => `--${kebabCase(each)}`).join(', ');
          throw new UsageError(`the experiment ${name} does not read --${list}; it reads ${read}`, { parameter: list });
        }
        if (numbers === undefined) return [[key, values]];
        const given = [...new Set(values.map(Number))];
        if (given.every(ranges[numbers])) return [[key, given]];
        throw new UsageError(`--${list} takes ${numbers}; got ${values.join(', ')}`, { parameter: list });
      }),
    ) as Partial<ExperimentRequest>;
    const task = chosenTask(options.task, options.taskFile);
    const reading = givenReading(context);
    const request: ExperimentRequest = {
      model: await localPath(context, model),
      data: dataSource(task, options.data),
      ...(options.validation === undefined ? {} : { validation: dataSource(task, options.validation, 'validation') }),
      ...(Object.keys(reading).length === 0 ? {} : { reading }),
      seeds: Array.from({ length: options.seeds }, (_, index) => options.firstSeed + index),
      ...(options.steps === undefined ? {} : { steps: options.steps }),
      ...(options.batchSize === undefined ? {} : { batchSize: options.batchSize }),
      ...(options.limit === undefined ? {} : { limit: options.limit }),
      ...varied,
    };
    return withEngine(context, async (engine) => {
      const progress = createProgress(context, options.quiet || options.json);
      const notice = () => progress.line('giving up the current measurement; the same command goes on with it');
      const { result: complete, exitCode } = await interruptible(context, notice, async (signal) => {
        let whole = false;
        for await (const event of conduct(engine, { name, experiment, request, out }, signal)) {
          if (options.json) context.standardOutput.write(`${JSON.stringify(event)}\n`);
          if (event.type === 'done') whole = event.complete;
          if (options.json || (options.quiet && event.type !== 'done')) continue;
          switch (event.type) {
            case 'start':
              progress.line(`${event.out}: ${event.finished} of ${event.cells} cells are measured`);
              if (event.otherwise)
                progress.line(`an earlier version measured them: then ${event.otherwise}; nothing is added here`);
              break;
            case 'cell':
              progress.update(`cell ${event.number} of ${event.cells}: ${cellText(event.cell)}`);
              break;
            case 'finished':
              progress.line(
                `${event.done}/${event.cells}  ${cellText(event.cell)}  ${resultText(event.result)}  ` +
                  `${formatDuration(event.seconds)}, ETA ${formatDuration(event.etaSeconds)}`,
              );
              break;
            case 'done':
              progress.end();
              context.standardOutput.write(`${event.lead}\n${event.report}\n`);
          }
        }
        return whole;
      });
      return exitCode || (complete ? 0 : 1);
    });
  },
});

function cellText(cell: Readonly<Record<string, unknown>>): string {
  return Object.entries(cell)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ');
}

/** The numbers of a result, shortly. */
function resultText(result: unknown): string {
  return Object.entries(result as Record<string, unknown>)
    .filter(([, value]) => typeof value === 'number')
    .slice(0, 2)
    .map(([name, value]) => `${name} ${Number((value as number).toPrecision(4))}`)
    .join(', ');
}
