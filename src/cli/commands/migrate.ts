import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readRows } from '../../data/containers/index.ts';
import { SubzeroError } from '../../errors.ts';
import { metricNames } from '../../evaluation/metrics.ts';
import { reportLines } from '../../evaluation/report.ts';
import { plural } from '../../format.ts';
import { splitRows } from '../../recording/split.ts';
import { settingNames } from '../../settings/settings.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { engineOptions, jsonOption } from '../common-options.ts';
import { chosenMetrics, evaluateByPlan, evaluationWarnings, readGrader, writeReports } from '../evaluation.ts';
import { localPath, offlineOption } from '../hub-option.ts';
import { interruptible } from '../interrupt.ts';
import type { OptionSpecification, OptionValues } from '../option.ts';
import { createProgress } from '../progress.ts';
import { givenReading } from '../reading-options.ts';
import { recordOptions, recordRequest, recordWithProgress } from '../record-options.ts';
import { requireOption } from '../require-option.ts';
import { givenSettings, settingOption } from '../setting-options.ts';
import { UsageError } from '../usage-error.ts';
import { withEngine } from '../with-engine.ts';
import { trainByEngine } from './train.ts';

const moving = 'What is moved';
const comparing = 'How it is compared';

/** What rows that are held out are for is decided here. */
const settingOptions: readonly OptionSpecification[] = settingNames
  .filter((name) => name !== 'validationSplit')
  .map(settingOption);

/** What a recorded answer and one of ours are compared by; they are texts. */
const textMetrics = ['exact-match', 'f1', 'rouge-l', 'bleu', 'loss'];

const options = [
  {
    name: 'model',
    type: 'text',
    placeholder: 'DIR',
    description: 'model directory, GGUF file or ORG/NAME on the Hugging Face Hub that shall answer from now on',
    group: moving,
  },
  offlineOption,
  {
    name: 'prompts',
    type: 'text',
    placeholder: 'FILE',
    description: 'prompts to record the answers of --teacher to; or give --data',
    group: moving,
  },
  {
    name: 'data',
    type: 'text',
    placeholder: 'FILE',
    description: 'training file that was exported from OpenAI, or any other of the formats, instead of a recording',
    group: moving,
  },
  { name: 'out', type: 'text', placeholder: 'FOLDER', description: 'folder for all that is made', group: moving },
  ...recordOptions,
  {
    name: 'hold-out',
    type: 'number',
    minimum: 0.001,
    maximum: 0.9,
    default: 0.2,
    description: 'share of the rows that is not trained on, but compared on',
    group: comparing,
  },
  {
    name: 'test',
    type: 'text',
    placeholder: 'FILE',
    description: 'rows to compare on, instead of --hold-out',
    group: comparing,
  },
  {
    name: 'metric',
    type: 'list',
    placeholder: 'NAME',
    description: `repeatable, or with commas between them: ${metricNames.join(', ')}`,
    defaultText: `${textMetrics.join(',')}, or what rows with options allow`,
    group: comparing,
  },
  {
    name: 'grader',
    type: 'text',
    placeholder: 'FILE',
    description: "a grader in a JSON file, in the shape of OpenAI's",
    group: comparing,
  },
  {
    name: 'max-tokens',
    type: 'integer',
    minimum: 1,
    maximum: 1_000_000,
    description: 'most tokens of an answer that is compared',
    defaultText: '--answer-tokens, or 50 for answers of one line and 256 for others',
    group: comparing,
  },
  // Their values are for givenSettings alone.
  ...(settingOptions as readonly []),
  {
    name: 'epochs',
    type: 'number',
    description: 'instead of --steps: how often each example is seen',
    group: 'Method',
  },
  { ...jsonOption, description: 'print the comparison as one JSON line' },
  ...engineOptions,
] as const;

type MigrateContext = CommandContext<OptionValues<typeof options>>;

export const migrateCommand = defineCommand({
  name: 'migrate',
  summary: 'Move a fine-tuned model of another service here: record its answers, train on them, compare',
  usage: [
    'migrate --model DIR --prompts FILE --teacher NAME --out FOLDER [options]',
    'migrate --model DIR --data TRAINING_FILE --out FOLDER [options]',
  ],
  details: [
    'Records what the teacher answers (as "subzero record" does), trains the model on a part of it, and compares the ' +
      'model before and after on the rest. FOLDER gets recording/, train.jsonl, test.jsonl, run/, report.md and ' +
      'report.json. After an interruption the same command goes on where it was.',
  ],
  options,
  examples: [
    {
      text: 'before the teacher is switched off',
      command:
        'OPENAI_API_KEY=… subzero migrate --model Qwen/Qwen3-0.6B --prompts prompts.jsonl \\\n' +
        '  --teacher ft:gpt-4o-mini:… --out moved --epochs 3',
    },
    {
      text: 'from the training file that it was made of',
      command: 'subzero migrate --model Qwen/Qwen3-0.6B --data training.jsonl --out moved --epochs 3',
    },
  ],
  async run(context) {
    const { options: values } = context;
    const out = resolve(requireOption(values.out, 'migrate', 'out FOLDER'));
    const given = requireOption(values.model, 'migrate', 'model DIR');
    if ((values.prompts === undefined) === (values.data === undefined)) {
      throw new UsageError('give either --prompts FILE with --teacher NAME, or --data FILE', { parameter: 'prompts' });
    }
    if (values.epochs !== undefined && context.sources.steps !== 'default') {
      throw new UsageError('--epochs and --steps both say how long to train; give one of them', {
        parameter: 'epochs',
      });
    }
    const grader = values.grader === undefined ? undefined : await readGrader(values.grader);
    const chosen = chosenMetrics(values.metric, { grader: grader !== undefined, base: false });
    claim(out, identityOf(context, given));
    const source = values.data ?? (await recorded(context, values.prompts!, join(out, 'recording')));
    if (typeof source === 'number') return source;
    const { train, test } = await parted(context, source, out);
    const path = await localPath(context, given);
    // The rows of a recording have the fields of a format, whatever the columns of the prompts were called.
    const unread = values.prompts === undefined ? [] : ['columns', 'template', 'labels'];
    const without = <T extends object>(all: T): Partial<T> =>
      Object.fromEntries(Object.entries(all).filter(([name]) => !unread.includes(name))) as Partial<T>;
    return withEngine(context, async (engine) => {
      const run = join(out, 'run');
      const trained = await trainByEngine(
        context,
        engine,
        existsSync(join(run, 'journal.subzero'))
          ? { resume: run }
          : {
              ...{ model: path, data: { file: train }, validation: { file: test }, out: run },
              configuration: without(givenSettings(context)),
              ...(values.epochs === undefined ? {} : { epochs: values.epochs }),
            },
        { quiet: values.quiet || values.json, json: false, results: false },
      );
      if (trained !== 0) return trained;
      const progress = createProgress(context, values.quiet || values.json);
      const maxTokens = values.maxTokens ?? values.answerTokens;
      const names = chosen.length > 0 || (await hasOptions(test)) ? chosen : textMetrics;
      const { result: evaluated, exitCode } = await interruptible(
        context,
        () => progress.line('stopping'),
        async (signal) => {
          try {
            return await evaluateByPlan(
              engine,
              {
                title: `${given} before and after training on ${plural(await countRows(train), 'row')}`,
                ...{ model: { path: run, step: undefined }, baseline: { path, step: undefined } },
                request: { data: { file: test }, ...without(givenReading(context)) },
                metricNames: grader && names.length > 0 && !names.includes('reward') ? ['reward', ...names] : names,
                ...(grader ? { grader } : {}),
                answers: maxTokens === undefined ? {} : { maxTokens },
                withTexts: true,
              },
              (name, done, total) => progress.update(`${name}: evaluated ${done} of ${plural(total, 'example')}`),
              signal,
            );
          } finally {
            progress.end();
          }
        },
      );
      if (exitCode !== 0) return exitCode;
      const { report } = evaluated;
      for (const warning of evaluationWarnings(report)) progress.line(`warning: ${warning}`);
      const files = ['report.md', 'report.json'].map((name) => join(out, name));
      writeReports(report, files);
      const text = values.json
        ? JSON.stringify({ run, report: files[0], comparison: report.compared })
        : [...reportLines(report), `run: ${run}`, `report: ${files[0]}`].join('\n');
      context.standardOutput.write(`${text}\n`);
      return 0;
    });
  },
});

/** The golden set of the teacher's answers; an exit code where recording was interrupted. */
async function recorded(context: MigrateContext, file: string, folder: string): Promise<string | number> {
  const { columns, template } = givenSettings(context);
  const reading = { ...(columns ? { columns } : {}), ...(template ? { template } : {}) };
  const request = recordRequest(context, 'migrate', { file, out: folder, reading });
  const { figures, exitCode } = await recordWithProgress(context, request);
  return figures && exitCode === 0 ? join(folder, 'golden.jsonl') : exitCode || 1;
}

/** The files to train on and to compare on. */
async function parted(context: MigrateContext, source: string, out: string): Promise<{ train: string; test: string }> {
  const { test, holdOut } = context.options;
  if (test !== undefined) return { train: source, test };
  const files = { train: join(out, 'train.jsonl'), test: join(out, 'test.jsonl') };
  if (!existsSync(files.train)) await splitRows(source, files, holdOut, givenSettings(context).seed ?? 0);
  return files;
}

/** What makes a migration another one; whom a recording asks it says itself. */
function identityOf(context: MigrateContext, model: string): object {
  const { prompts, data, test, holdOut, epochs } = context.options;
  const settings = givenSettings(context);
  return { format: 1, model, prompts, data, test, holdOut, epochs, settings };
}

/** Makes the folder this migration's. @throws SubzeroError `conflict` if it is another one's */
function claim(out: string, identity: object): void {
  mkdirSync(out, { recursive: true });
  const file = join(out, 'migration.json');
  const text = `${JSON.stringify(identity, undefined, 2)}\n`;
  if (!existsSync(file)) {
    writeFileSync(`${file}.part`, text);
    renameSync(`${file}.part`, file);
  } else if (readFileSync(file, 'utf8') !== text) {
    throw new SubzeroError(
      'conflict',
      `${out} holds a migration with other settings (migration.json); choose another folder, or give those`,
      { parameter: 'out' },
    );
  }
}

async function hasOptions(file: string): Promise<boolean> {
  for await (const { value } of readRows(file)) return 'options' in value;
  return false;
}

async function countRows(file: string): Promise<number> {
  let count = 0;
  for await (const _ of readRows(file)) count++;
  return count;
}
