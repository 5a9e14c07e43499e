/**
 * `bench sst2`: optimisers on the example model and data over several seeds, in one table; SubZero is held against the
 * PyTorch reference run.
 *
 * @module
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { kebabCase } from '../src/cli/option.ts';
import { LocalEngine } from '../src/engine/local.ts';
import type { DataSource } from '../src/engine/types.ts';
import { SubzeroError } from '../src/errors.ts';
import { interval, mean, type Summary, summary } from '../src/experiments/statistics.ts';
import { resolveConfiguration, type TrainConfiguration } from '../src/settings/configuration.ts';
import { methods, type OptimizerName, optimizerNames } from '../src/settings/methods.ts';
import { type SettingName, settingNames, settingOf } from '../src/settings/settings.ts';
import { markdownTable, table } from '../src/table.ts';
import { probePoints } from '../src/zo/probe-points.ts';

export const usage = `npm run bench -- sst2 [options]
  --optimizers LIST    names with a comma between them, or all (default subzero); a name may have settings of its own
                       behind it, as in mezo:learning-rate=1e-4:queries=2,subzero:storage=q4:bank-rank=64
  --seeds N            how many (default 5)
  --first-seed S       default 0
  --steps N            of all (default 300; subzero-plus 100, as many losses)
  --queries K          of all (default 1; subzero-plus 5)
  --learning-rate η    of all (default 5e-5; subzero-plus 1e-3)
  --markdown           the table in Markdown
  --json FILE          write settings and figures, after every run
Exit code 1 when the mean of SubZero without settings of its own is below the reference's by more than both standard
errors together.`;

type Settings = Partial<TrainConfiguration>;

/**
 * Dev accuracy of SubZero after 300 steps with these settings in PyTorch, three seeds (its random numbers are others).
 */
const reference = summary([0.767, 0.744, 0.745]);

const commonSettings: Settings = {
  epsilon: 1e-3,
  rank: 8,
  refresh: 100,
  batchSize: 16,
  steps: 300,
  queries: 1,
  learningRate: 5e-5,
};

/**
 * Where the common ones do not fit a method. SubZero+ takes as many losses in all: 100 steps of 6 instead of 300 of 2.
 */
const ownSettings: Partial<Record<OptimizerName, Settings>> = {
  'subzero-plus': { steps: 100, queries: 5, sides: 1, refresh: 50, learningRate: 1e-3 },
};

/**
 * Settings that the list of optimisers may carry, by the name that the command line of `train` has for them: all that
 * are numbers or choices.
 */
const listedSettings = new Map(
  settingNames
    .filter((name) => ['number', 'choice'].includes(kindOf(name)) && name !== 'optimizer')
    .map((name) => [kebabCase(name), name]),
);

function kindOf(name: SettingName): string {
  const { type, default: usual } = settingOf(name);
  return typeof usual === 'number' ? 'number' : type;
}

/** @returns undefined where the text is no value of the setting's kind; whether it may have it is checked later */
function readValue(name: SettingName, text: string): number | string | undefined {
  const setting = settingOf(name);
  if (kindOf(name) === 'choice') return setting.type === 'choice' && setting.choices.includes(text) ? text : undefined;
  const value = Number(text);
  return text === '' || Number.isNaN(value) ? undefined : value;
}

/**
 * The settings of each optimiser of a list.
 * @param list as `--optimizers` has it
 * @param given settings of all, which the list's own come before
 * @throws SubzeroError that names the part of the list that is wrong
 */
export function readOptimizers(list: string, given: Settings = {}): Entry[] {
  const entries = list === 'all' ? optimizerNames : list.split(',');
  return entries.map((entry) => {
    const [name = '', ...assignments] = entry.split(':');
    if (!(optimizerNames as readonly string[]).includes(name)) {
      throw new SubzeroError('invalid_argument', `--optimizers: "${name}" is not one of ${optimizerNames.join(', ')}`);
    }
    const own = assignments.map((assignment) => {
      const [key = '', text = ''] = assignment.split('=');
      const setting = listedSettings.get(key);
      const value = setting && readValue(setting, text);
      if (setting === undefined || value === undefined) {
        const allowed = [...listedSettings.keys()].join(', ');
        throw new SubzeroError(
          'invalid_argument',
          `--optimizers: "${assignment}" of ${name} must be a value for one of ${allowed}, as in steps=100`,
        );
      }
      return [setting, value] as const;
    });
    const optimizer = name as OptimizerName;
    const settings = { ...commonSettings, ...ownSettings[optimizer], ...given, ...Object.fromEntries(own), optimizer };
    return { title: [methods[optimizer].title, ...assignments].join(' '), settings: resolveConfiguration(settings) };
  });
}

/** What the list has between two commas. */
interface Entry {
  /** The optimiser's, and the settings of its own as they were given. */
  title: string;
  settings: TrainConfiguration;
}

interface Run {
  seed: number;
  accuracy: number;
  loss: number;
  seconds: number;
}

interface Result extends Entry {
  /** Losses in all: steps × points. */
  losses: number;
  runs: Run[];
  accuracy?: Summary;
  loss?: Summary;
}

export async function benchSst2(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      optimizers: { type: 'string', default: 'subzero' },
      seeds: { type: 'string', default: '5' },
      'first-seed': { type: 'string', default: '0' },
      steps: { type: 'string' },
      queries: { type: 'string' },
      'learning-rate': { type: 'string' },
      markdown: { type: 'boolean', default: false },
      json: { type: 'string' },
    },
  });
  const given = Object.entries({
    steps: values.steps,
    queries: values.queries,
    learningRate: values['learning-rate'],
  }).flatMap(([name, value]) => (value === undefined ? [] : [[name, Number(value)] as const]));
  const results = readOptimizers(values.optimizers, Object.fromEntries(given)).map((entry): Result => {
    return { ...entry, losses: entry.settings.steps * probePoints(entry.settings).length, runs: [] };
  });
  const first = Number(values['first-seed']);
  const folder = mkdtempSync(join(tmpdir(), 'subzero-sst2-'));
  const engine = await LocalEngine.open();
  const { adapter } = await engine.info();
  try {
    // Seed by seed, so that a table that is cut short still compares all of them.
    for (let seed = first; seed < first + Number(values.seeds); seed++) {
      for (const result of results) {
        result.runs.push(await trainOnce(engine, { ...result.settings, seed }, join(folder, 'run')));
        result.accuracy = summary(result.runs.map(({ accuracy }) => accuracy));
        result.loss = summary(result.runs.map(({ loss }) => loss));
        if (values.json) {
          const output = { adapter: adapter.description, optimizers: results, reference };
          writeFileSync(values.json, `${JSON.stringify(output, null, 2)}\n`);
        }
      }
    }
  } finally {
    await engine.close();
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`${adapter.description || adapter.device}\n`);
  const print = values.markdown ? markdownTable : table;
  for (const { title, runs } of results) {
    console.log(runs.map((run) => `${title}, seed ${run.seed}: ${figures(run.accuracy, run.loss)}`).join('\n'));
  }
  console.log(`\n${print(header, [...results.map(row), referenceRow])}`);
  const subzero = results.find(({ title }) => title === methods.subzero.title)?.accuracy;
  if (!subzero) return 0;
  const allowed = Math.hypot(subzero.standardError || 0, reference.standardError);
  return subzero.mean < reference.mean - allowed ? 1 : 0;
}

/** Trains, then scores the whole dev split. */
async function trainOnce(engine: LocalEngine, configuration: TrainConfiguration, out: string): Promise<Run> {
  const { optimizer, seed } = configuration;
  const examples = fileURLToPath(new URL('../examples/', import.meta.url));
  const data: DataSource = { task: 'sst2', directory: join(examples, 'sst2') };
  rmSync(out, { recursive: true, force: true });
  let seconds = 0;
  for await (const event of engine.train({ model: join(examples, 'reviews-3m'), data, configuration, out })) {
    if (event.type === 'step' && event.step % 50 === 0) {
      console.error(`${optimizer}, seed ${seed}: step ${event.step}, loss ${event.loss.toFixed(4)}`);
    }
    if (event.type === 'done') seconds = event.seconds;
  }
  await engine.loadModel({ id: 'tuned', path: out });
  const { accuracy, loss } = await engine.evaluate({ model: 'tuned', data });
  await engine.unloadModel('tuned');
  console.error(`${optimizer}, seed ${seed}: dev ${figures(accuracy!, loss)}`);
  return { seed, accuracy: accuracy!, loss, seconds };
}

const figures = (accuracy: number, loss: number): string => `accuracy ${accuracy.toFixed(4)}, loss ${loss.toFixed(4)}`;

const header = ['optimiser', 'steps', 'losses', 'learning rate', 'dev accuracy', 'dev loss', 'seconds per run'];

/** Means with the half-width of their 95 % intervals. */
function row({ title, settings, losses, runs, accuracy, loss }: Result): string[] {
  return [
    title,
    String(settings.steps),
    String(losses),
    String(settings.learningRate),
    interval(accuracy!),
    interval(loss!),
    mean(runs.map(({ seconds }) => seconds)).toFixed(0),
  ];
}

const referenceRow = ['SubZero in PyTorch, 3 seeds', '300', '600', '0.00005', interval(reference), '', ''];
