import type { DataRow } from '../engine/types.ts';
import { SubzeroError } from '../errors.ts';
import { join, stat, writeFile } from '../platform/index.ts';
import { resolveConfiguration } from '../settings/configuration.ts';
import { batchOf } from './batch.ts';
import { type Cell, defineExperiment, type Finished, type Laboratory } from './experiment.ts';
import { grouped } from './groups.ts';
import { plotSvg, pointOf } from './plot.ts';
import { writeScaledModel } from './scaled-model.ts';
import { interval, mean, median, type Summary, slope, summary } from './statistics.ts';
import { withModel } from './train-cell.ts';

/** Steps of a cell; the first ones, which compile and allocate, are not timed. */
const steps = 8;
const untimed = 2;

/** Rows that a cell trains on, the same for all cells of a seed. */
const rowCount = 64;

/** What is varied, and the values, as multiples of the base cell's. */
const axes = {
  'batch size': [1, 2, 4, 8, 16],
  'text length': [1, 2, 4, 8, 16, 32],
  layers: [1, 2, 4, 8],
  width: [1, 2, 4, 8, 16],
  'directions per step': [1, 2, 4, 8],
  rank: [1, 2, 4, 8, 16],
} as const satisfies Record<string, readonly number[]>;
type Axis = keyof typeof axes;

/** Exponents up to here count as linear growth; above it the cost grows faster than the work. */
const linear = 1.1;

interface Scaled {
  parameters: number;
  /** Tokens of a step, all probes counted. */
  tokens: number;
  /** Median of the timed steps. */
  stepMilliseconds: number;
  plannedBytes: number;
  journalBytes: number;
  /** Time to load the run again: the base, then a replay of all steps. */
  replayMilliseconds: number;
}

/** A cell that the device has too little memory for, in the words of the refusal. */
interface TooLarge {
  tooLarge: string;
}

/** The costs, and how a table names them. */
const costs = [
  ['time of a step', ({ stepMilliseconds }) => stepMilliseconds],
  ['memory', ({ plannedBytes }) => plannedBytes],
  ['journal', ({ journalBytes }) => journalBytes],
  ['loading again', ({ replayMilliseconds }) => replayMilliseconds],
] as const satisfies readonly (readonly [string, (result: Scaled) => number])[];

/** How costs grow, which should be linearly in tokens and parameters. */
export const scale = defineExperiment<Scaled | TooLarge>({
  title: 'How do costs grow?',
  question:
    'How do the time of a step, memory, journal and replay grow with tokens, length, parameters, directions and rank?',
  method:
    `SubZero tunes all parameters of models of the given one's kind with random weights for ${steps} steps (or ` +
    `--steps); a step's time is the median of those after the first ${untimed}. One thing at a time is multiplied, ` +
    'from a base cell with batch size 2, one direction and rank 4; layers and width are multiples of the given ' +
    'model’s, and longer texts are the same prompts several times over, in a context that grows with them. Work is ' +
    'tokens × parameters; attention is not counted, which compares every token of a text with those before it. ' +
    'Exponents are slopes of a straight line through the logarithms. Seeds repeat all of it; intervals are 95 % by ' +
    'Student’s t over the seeds.',
  reads: ['steps'],
  earlier: ['cells had other rows, no longer texts, and smaller models'],
  data: ['train'],
  cells: ({ seeds }) =>
    seeds.flatMap((seed) =>
      Object.entries(axes).flatMap(([axis, factors]) => factors.map((factor) => ({ seed, axis, factor }))),
    ),
  async measure(laboratory, cell) {
    try {
      return await measureRun(laboratory, cell);
    } catch (error) {
      if (error instanceof SubzeroError && error.code === 'out_of_memory') return { tooLarge: error.message };
      throw error;
    }
  },
  report(_, finished) {
    const fitting = finished.filter((each): each is Finished<Scaled> => !('tooLarge' in each.result));
    const grown = [...grouped(fitting, ({ axis }) => String(axis))].map(([axis, cells]) =>
      growthOf(axis as Axis, cells),
    );
    // One seed has no interval, and shows no knee.
    const knees = grown.filter(({ isWork, last }) => isWork && last.mean - last.halfWidth95 > linear);
    const hasIntervals = grown.some(({ isWork, last }) => isWork && Number.isFinite(last.halfWidth95));
    return {
      lead:
        "Exponents of a step's time over its work, between the two largest sizes: " +
        `${grown.flatMap(({ axis, isWork, last }) => (isWork ? [`${axis} ${interval(last, 2)}`] : [])).join(', ')}. ` +
        (knees.length === 0
          ? hasIntervals
            ? 'Nothing is shown to grow faster than its work.'
            : 'One seed does not show whether anything grows faster than its work.'
          : `Faster than its work grows: ${knees.map(({ axis }) => axis).join(', ')}. That is a finding.`),
      sections: [
        {
          title: 'Growth',
          text:
            'An exponent of 1 is linear growth with the work; less means that a constant part counts, 0 that nothing ' +
            'grows. The two largest sizes show it where a constant part hides it from the others.',
          plot: {
            name: 'scale.svg',
            describes: 'Time of a step over the multiple of each quantity',
            svg: plotSvg({
              title: 'Time of a step',
              xTitle: 'multiple of the base cell',
              yTitle: 'milliseconds',
              xLogarithmic: true,
              yLogarithmic: true,
              series: grown.map(({ axis, cells }) => ({ name: axis, points: pointsOf(cells) })),
            }),
          },
          table: {
            header: [
              ...['multiplied', 'exponent over', 'time of a step, all sizes'],
              ...costs.map(([name]) => `${name}, two largest`),
            ],
            rows: grown.map(({ axis, isWork, whole, exponents }) => [
              ...[axis, isWork ? 'tokens × parameters' : 'rank', interval(whole, 2)],
              ...exponents.map((each) => interval(each, 2)),
            ]),
          },
        },
        {
          title: 'All cells',
          text: 'Means over the seeds.',
          table: {
            header: [
              'multiplied',
              '×',
              'parameters',
              'tokens a step',
              'ms a step',
              'MiB',
              'journal bytes',
              'reload ms',
            ],
            rows: [...grouped(finished, ({ axis, factor }) => `${axis} ${factor}`).values()].map(rowOf),
          },
        },
      ],
    };
  },
});

async function measureRun(laboratory: Laboratory, { seed, axis, factor }: Cell): Promise<Scaled> {
  const { engine, request, folder, signal } = laboratory;
  const times = (name: Axis): number => (axis === name ? Number(factor) : 1);
  const model = join(folder, 'model');
  const size = { layers: times('layers'), width: times('width'), context: times('text length') };
  const parameters = await writeScaledModel(request.model, size, model);
  const file = join(folder, 'rows.jsonl');
  const rows = await batchOf(request, Number(seed), rowCount);
  await writeFile(file, rows.map((row) => `${JSON.stringify(longer(row, times('text length')))}\n`).join(''));
  const run = join(folder, 'run');
  const configuration = resolveConfiguration({
    ...{ optimizer: 'subzero', seed: Number(seed), steps: request.steps ?? steps, evaluateEvery: 0 },
    ...{ batchSize: 2 * times('batch size'), queries: times('directions per step'), rank: 4 * times('rank') },
    learningRate: 1e-6,
  });
  const milliseconds: number[] = [];
  let [plannedBytes, tokens, before] = [0, 0, 0];
  for await (const event of engine.train({ model, data: { file }, configuration, out: run }, signal)) {
    if (event.type === 'start') plannedBytes = event.plan.totalBytes;
    if (event.type !== 'step') continue;
    milliseconds.push(1000 * (event.elapsedSeconds - before));
    before = event.elapsedSeconds;
    tokens = (2 * configuration.queries * event.trainedTokens) / event.step;
  }
  signal.throwIfAborted();
  const { size: journalBytes } = await stat(join(run, 'journal.subzero'));
  const started = performance.now();
  const replayMilliseconds = await withModel(laboratory, run, async () => performance.now() - started);
  return {
    ...{ parameters, tokens, plannedBytes, replayMilliseconds, journalBytes },
    stepMilliseconds: median(milliseconds.slice(Math.min(untimed, milliseconds.length - 1))),
  };
}

/** A row whose prompt is there several times over. */
function longer(row: DataRow, times: number): DataRow {
  return { ...row, prompt: Array.from({ length: times }, () => row.prompt).join(' ') };
}

/** The cells of the two largest factors. */
function lastTwo(cells: readonly Finished<Scaled>[]): Finished<Scaled>[] {
  const factors = [...new Set(cells.map(({ cell }) => Number(cell.factor)))].toSorted((a, b) => a - b).slice(-2);
  return cells.filter(({ cell }) => factors.includes(Number(cell.factor)));
}

/** How the costs of an axis grow. */
function growthOf(axis: Axis, cells: readonly Finished<Scaled>[]) {
  const isWork = axis !== 'rank';
  const size = ({ cell, result }: Finished<Scaled>): number =>
    isWork ? result.parameters * result.tokens : Number(cell.factor);
  const exponents = costs.map(([, cost]) => exponentOf(lastTwo(cells), size, cost));
  return { axis, cells, isWork, whole: exponentOf(cells, size, costs[0][1]), last: exponents[0]!, exponents };
}

/** The slope between logarithms, over the seeds. */
function exponentOf(
  cells: readonly Finished<Scaled>[],
  size: (cell: Finished<Scaled>) => number,
  cost: (result: Scaled) => number,
): Summary {
  return summary(
    [...grouped(cells, ({ seed }) => String(seed)).values()].map((own) =>
      slope(
        own.map((cell) => Math.log(size(cell))),
        own.map(({ result }) => Math.log(cost(result))),
      ),
    ),
  );
}

/** A point for each multiple. */
function pointsOf(cells: readonly Finished<Scaled>[]) {
  return [...grouped(cells, ({ factor }) => String(factor))].map(([factor, own]) =>
    pointOf(Number(factor), summary(own.map(({ result }) => result.stepMilliseconds))),
  );
}

/** The cells of the seeds of one size, as a row. */
function rowOf(own: readonly Finished<Scaled | TooLarge>[]): string[] {
  const { axis, factor } = own[0]!.cell;
  const results = own.flatMap(({ result }) => ('tooLarge' in result ? [] : [result]));
  const of = (value: (result: Scaled) => number): number => mean(results.map(value));
  return [
    ...[String(axis), String(factor)],
    ...(results.length === 0
      ? ['does not fit', '', '', '', '', '']
      : [
          of(({ parameters }) => parameters).toExponential(2),
          of(({ tokens }) => tokens).toFixed(0),
          of(({ stepMilliseconds }) => stepMilliseconds).toFixed(1),
          (of(({ plannedBytes }) => plannedBytes) / 2 ** 20).toFixed(1),
          of(({ journalBytes }) => journalBytes).toFixed(0),
          of(({ replayMilliseconds }) => replayMilliseconds).toFixed(0),
        ]),
  ];
}
