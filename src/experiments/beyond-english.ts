import { filesOf } from '../data/files.ts';
import { loadDataset } from '../data/load.ts';
import type { DataSource } from '../data/source.ts';
import { SubzeroError } from '../errors.ts';
import { join, readdir, writeFile } from '../platform/index.ts';
import { type OptimizerName, optimizerNames } from '../settings/methods.ts';
import { choiceRows, isTested, passedTests, testedRows } from './code-task.ts';
import {
  type Cell,
  defineExperiment,
  type ExperimentRequest,
  type Finished,
  type Laboratory,
  type Report,
} from './experiment.ts';
import { grouped } from './groups.ts';
import { plotSvg, pointOf } from './plot.ts';
import { centreRate, checkNames, isSmallModel, stepsOfPasses } from './search.ts';
import { interval, mean, summary } from './statistics.ts';
import { trainRun, withModel } from './train-cell.ts';

/** Passes over a batch that every method gets: 300 steps of two points. */
const passes = 600;

const common = { rank: 8, refresh: 100 } as const;

/** Most tokens of a function that is written. */
const longestBody = 48;

interface Reached {
  /** The mean loss of the right answers; null where the run failed. */
  loss: number | null;
  /** Share of examples whose right option, or body, is chosen. */
  accuracy: number | null;
  /** Code: the share of functions that the model writes so that they pass all of their tests. */
  passed?: number;
  failed: boolean;
  steps: number;
}

/** What lies beyond the papers' English tasks: code, and other languages. */
export const beyondEnglish = defineExperiment<Reached>({
  title: 'Code and other languages',
  question: 'Does training with two losses a step work beyond the English tasks that the papers have?',
  method:
    '--data is a folder with a folder for each task, each with files of train and test by their names. Rows with ' +
    '"tests" are code: a docstring and the head of a function are given, the model learns its body, and what it ' +
    'writes is run with the tests in the sandbox of the graders. A function counts as passed if all of its tests do. ' +
    'As small models write none, the model also chooses among four bodies, of which the tests say which is right. ' +
    'Other tasks have options, as languages. All parameters train, and every method gets the same passes over a ' +
    `batch (2 × --steps, ${passes} by default) with its default learning rate (times 50 for models below 50 M ` +
    'parameters, those of Adam excepted) or each of --learning-rates. Intervals are 95 % by Student’s t over the ' +
    'seeds.',
  reads: ['steps', 'optimizers', 'tasks', 'learningRates', 'limit'],
  data: ['train', 'evaluation'],
  sources: async (request) => [...(await taskFolders(request)).values()],
  async cells(request) {
    const { seeds, model, optimizers = ['subzero', 'mezo'], learningRates } = request;
    checkNames('optimizers', optimizers, optimizerNames);
    const small = await isSmallModel(model);
    const sources = await taskFolders(request);
    return [...sources.keys()].flatMap((task): Cell[] => [
      { task, asItIs: true },
      ...(optimizers as OptimizerName[]).flatMap((optimizer) =>
        (learningRates ?? [centreRate(optimizer, 'full', small)]).flatMap((learningRate) =>
          seeds.map((seed) => ({ task, optimizer, learningRate, seed })),
        ),
      ),
    ]);
  },
  async measure(laboratory, { task, asItIs, optimizer, learningRate, seed }) {
    const { request, signal } = laboratory;
    const data = (await taskFolders(request)).get(String(task))!;
    if (asItIs) return { ...(await evaluate(laboratory, request.model, data)), failed: false, steps: 0 };
    const method = { ...common, optimizer: optimizer as OptimizerName };
    const steps = stepsOfPasses(method, request.steps === undefined ? passes : 2 * request.steps);
    const settings = { ...method, steps, learningRate: Number(learningRate), seed: Number(seed) };
    const { run, failed } = await trainRun(laboratory, { data }, settings);
    if (failed || signal.aborted) return { loss: null, accuracy: null, failed, steps };
    return { ...(await evaluate(laboratory, run, data)), failed, steps };
  },
  report,
});

/**
 * The tasks of a folder, by the names of their folders.
 * @throws SubzeroError `not_found` for a folder without tasks, a task that is not there, and one without files for
 * training and test; `invalid_argument` for data of one task
 */
async function taskFolders({ data, tasks }: ExperimentRequest): Promise<Map<string, DataSource>> {
  if ('task' in data) {
    const problem =
      'this experiment has its own tasks; give --data DIR, such as examples/beyond-english, and no --task';
    throw new SubzeroError('invalid_argument', problem, { parameter: 'task' });
  }
  const entries = await readdir(data.file).catch((): string[] => []);
  const folders: string[] = [];
  for (const name of entries.sort()) {
    const inside = await readdir(join(data.file, name)).catch(() => undefined);
    if (inside && !name.startsWith('.')) folders.push(name);
  }
  if (folders.length === 0) {
    const problem =
      `${data.file} has no folder of a task; expected folders such as code and german with ` +
      `train.jsonl and test.jsonl`;
    throw new SubzeroError('not_found', problem, { parameter: 'data' });
  }
  const missing = tasks?.find((name) => !folders.includes(name));
  if (missing !== undefined) {
    const problem = `${data.file} has no folder of the task ${missing}; there are ${folders.join(', ')}`;
    throw new SubzeroError('not_found', problem, { parameter: 'tasks' });
  }
  const sources = new Map<string, DataSource>();
  for (const name of tasks ?? folders) {
    const source = { file: join(data.file, name) };
    for (const split of ['train', 'evaluation'] as const) await filesOf(source.file, split);
    sources.set(name, source);
  }
  return sources;
}

async function evaluate(
  laboratory: Laboratory,
  path: string,
  data: DataSource,
): Promise<Pick<Reached, 'loss' | 'accuracy' | 'passed'>> {
  const { engine, request, folder, signal } = laboratory;
  const read = { ...request.reading, ...(request.limit === undefined ? {} : { limit: request.limit }) };
  const first = { ...request.reading, split: 'evaluation', limit: 1, withItems: true } as const;
  const { examples } = await loadDataset(data, first);
  return withModel(laboratory, path, async (model) => {
    if (!isTested(examples[0]!.item ?? {})) {
      const { loss, accuracy } = await engine.evaluate({ ...read, model, data }, undefined, signal);
      return { loss, accuracy };
    }
    const rows = await testedRows(data, 'evaluation', request.limit);
    const choices = await choiceRows(rows);
    const file = join(folder, 'choices.jsonl');
    await writeFile(file, choices.map((row) => `${JSON.stringify(row)}\n`).join(''));
    // A single row has no other body to choose from.
    const { accuracy } =
      choices.length === 0 ? { accuracy: null } : await engine.evaluate({ model, data: { file } }, undefined, signal);
    const generate = { maxTokens: longestBody, stop: ['\n'] };
    const { loss, outcomes = [] } = await engine.evaluate(
      { ...read, model, data, generate, outcomes: 'texts' },
      undefined,
      signal,
    );
    const shares: number[] = [];
    for (const { answer = '', item = {} } of outcomes) shares.push(await passedTests(answer, item));
    return { loss, accuracy, passed: mean(shares.map((share) => (share === 1 ? 1 : 0))) };
  });
}

function report({ tasks, seeds }: ExperimentRequest, finished: readonly Finished<Reached>[]): Report {
  const names = [...new Set(tasks ?? finished.map(({ cell }) => String(cell.task)))];
  const before = new Map(
    finished.filter(({ cell }) => cell.asItIs).map(({ cell, result }) => [String(cell.task), result]),
  );
  const trained = finished.filter(({ cell }) => !cell.asItIs);
  const methods = grouped(trained, ({ optimizer, learningRate }) => `${optimizer}, η ${learningRate}`);
  const of = (cells: readonly Finished<Reached>[], field: 'loss' | 'accuracy' | 'passed'): number[] =>
    cells.map(({ result }) => result[field]).filter((value) => typeof value === 'number');
  const text = (values: readonly number[]): string => (values.length === 0 ? '–' : interval(summary(values)));
  const texts = names.map((name) => {
    const best = bestMethod(name);
    const base = before.get(name);
    if (!best) return undefined;
    const passed = of(best.own, 'passed');
    return (
      `${name}: accuracy ${text(of(best.own, 'accuracy'))} with ${best.title}, ${base?.accuracy?.toFixed(4) ?? '–'} ` +
      `before` +
      (passed.length === 0
        ? ''
        : `, and ${(100 * mean(passed)).toFixed(1)} % of the functions that it writes pass their tests, ` +
          `${(100 * (base?.passed ?? Number.NaN)).toFixed(1)} % before`)
    );
  });
  return {
    lead: `${verdictText()} ${texts.filter((each) => each !== undefined).join('; ')}.`,
    sections: [
      {
        title: 'Before and after',
        text: `Runs have ${[...new Set(trained.map(({ result }) => result.steps))].join(' or ')} steps.`,
        plot: {
          name: 'beyond-english.svg',
          describes: 'Accuracy on every task, before and after training',
          svg: plotSvg({
            title: 'Accuracy on the test rows',
            xTitle: 'task',
            yTitle: 'accuracy',
            yWithin: [0, 1],
            names,
            series: [
              {
                name: 'the model as it is',
                points: names.flatMap((name, x) => {
                  const y = before.get(name)?.accuracy;
                  return typeof y === 'number' ? [{ x, y }] : [];
                }),
              },
              ...[...methods].map(([title, cells]) => ({
                name: title,
                points: names.flatMap((name, x) => {
                  const values = of(
                    cells.filter(({ cell }) => cell.task === name),
                    'accuracy',
                  );
                  return values.length === 0 ? [] : [pointOf(x, summary(values))];
                }),
              })),
            ],
          }),
        },
        table: {
          header: ['task', 'method', 'seeds', 'loss', 'accuracy', 'functions passed'],
          rows: names.flatMap((name) => {
            const base = before.get(name);
            const shown = (value: number | null | undefined) => value?.toFixed(4) ?? '–';
            return [
              ...(base ? [[name, 'as it is', '', shown(base.loss), shown(base.accuracy), shown(base.passed)]] : []),
              ...[...methods].flatMap(([title, cells]) => {
                const own = cells.filter(({ cell }) => cell.task === name);
                if (own.length === 0) return [];
                const fields = (['loss', 'accuracy', 'passed'] as const).map((field) => text(of(own, field)));
                const failures = own.filter(({ result }) => result.failed).length;
                return [[name, title, `${own.length}${failures > 0 ? ` (${failures} failed)` : ''}`, ...fields]];
              }),
            ];
          }),
        },
      },
    ],
  };

  /** Which accuracies move, beyond what the seeds leave open. */
  function verdictText(): string {
    const changes = names.flatMap((name) => {
      const base = before.get(name)?.accuracy;
      const values = of(bestMethod(name)?.own ?? [], 'accuracy');
      return typeof base !== 'number' || values.length < 2 ? [] : [{ name, base, ...summary(values) }];
    });
    if (changes.length === 0) {
      return seeds.length === 1
        ? 'One seed says nothing of how sure a change is.'
        : 'No task has an accuracy of two seeds, which would say how sure a change is.';
    }
    const moved = changes.filter(({ base, mean: after, halfWidth95 }) => Math.abs(after - base) > halfWidth95);
    if (moved.length === 0) return 'On no task does accuracy move beyond its 95 % interval.';
    const way = ({ name, base, mean: after }: (typeof moved)[number]) => `${name} (${after > base ? 'up' : 'down'})`;
    return `Accuracy moves beyond its 95 % interval on ${moved.map(way).join(', ')}.`;
  }

  function bestMethod(name: string): { title: string; own: Finished<Reached>[] } | undefined {
    const own = [...methods].flatMap(([title, cells]) => {
      const mine = cells.filter(({ cell, result }) => cell.task === name && !result.failed);
      return mine.length === 0 ? [] : [{ title, own: mine, reached: mean(of(mine, 'accuracy')) }];
    });
    return own.toSorted((a, b) => b.reached - a.reached)[0];
  }
}
