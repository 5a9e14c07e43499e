import { bootstrap, pairedProbability } from '../evaluation/bootstrap.ts';
import { plural } from '../format.ts';
import { join, readFile } from '../platform/index.ts';
import type { ExperimentRequest, Finished, Report, Section } from './experiment.ts';
import { grouped } from './groups.ts';
import { plotSvg, pointOf } from './plot.ts';
import { publishedOf, sparseClaim } from './published-scores.ts';
import { bestOf, endsOfSearches } from './search.ts';
import { holm, interval, mean, pairedDifference, type Summary, studentProbability, summary } from './statistics.ts';
import type { TaskCell } from './table.ts';

type Done = Finished<TaskCell>;

/** One method on one task, with the learning rate that its search chose. */
interface Method {
  task: string;
  scheme: string;
  optimizer: string;
  learningRate: number;
  /** One for each seed. */
  own: Done[];
  searched: Done[];
}

/** In percent; NaN of a run that failed. */
const percentOf = ({ result }: Done): number => (result.failed ? Number.NaN : 100 * mean(result.scores));
const percents = (cells: readonly Done[]): number[] => cells.map(percentOf).filter(Number.isFinite);

export async function tableReport(request: ExperimentRequest, finished: readonly Done[]): Promise<Report> {
  const tasks = [...new Set(finished.map(({ cell }) => String(cell.task)))];
  const methods = methodsOf(request, finished);
  const schemes = [...new Set(methods.map(({ scheme }) => scheme))];
  const asItIs = new Map(finished.filter(({ cell }) => cell.asItIs).map((each) => [String(each.cell.task), each]));
  const published = publishedOf(await configOf(request.model));
  const compared = comparisons(methods);
  const claim = claimSection(methods, finished);
  const counted = compared.filter(({ corrected }) => !Number.isNaN(corrected));
  const shown = counted.filter(({ corrected }) => corrected < 0.05);
  return {
    lead: [
      ...(claim?.contradicts ? [claim.verdict] : []),
      compared.length === 0
        ? 'No method is measured beside SubZero over several seeds.'
        : counted.length === 0
          ? 'No method has two seeds beside SubZero, without which no difference stands.'
          : shown.length === 0
            ? `None of ${counted.length} differences from SubZero stands at a level of 5 % together.`
            : `Of ${counted.length} differences from SubZero ${shown.length} stand at a level of 5 % together: ` +
              `${shown.map(differenceText).join('; ')}.`,
      ...(methods.length === 0
        ? []
        : [`Highest means: ${tasks.flatMap((task) => bestText(task, methods, asItIs.get(task))).join('; ')}.`]),
      ...(claim && !claim.contradicts ? [claim.verdict] : []),
    ].join(' '),
    sections: [
      ...schemes.map((scheme): Section => {
        const own = methods.filter((each) => each.scheme === scheme);
        const optimizers = [...new Set(own.map(({ optimizer }) => optimizer))];
        const find = (optimizer: string, task: string) =>
          own.find((each) => each.optimizer === optimizer && each.task === task);
        const plotted = optimizers.map((optimizer) => ({
          name: optimizer,
          points: tasks.flatMap((task, x) => {
            const values = percents(find(optimizer, task)?.own ?? []);
            return values.length === 0 ? [] : [pointOf(x, summary(values))];
          }),
        }));
        const before = tasks.flatMap((task, x) => (asItIs.has(task) ? [{ x, y: percentOf(asItIs.get(task)!) }] : []));
        const publishedRows =
          published && scheme === 'full'
            ? [...new Set(tasks.flatMap((task) => Object.keys(published.scores[task] ?? {})))].map((name) => [
                `${name}, published (${published.model}, one seed; ${published.source})`,
                ...tasks.map((task) => String(published.scores[task]?.[name as 'sgd'] ?? '–')),
              ])
            : [];
        return {
          title: `Scheme ${scheme}`,
          text:
            'Accuracy, or F1 of generated answers, in percent of the rows of a task: means over ' +
            `${plural(request.seeds.length, 'seed')}, with 95 % intervals.`,
          plot: {
            name: `table-${scheme}.svg`,
            describes: `Scores of every optimiser on every task, scheme ${scheme}`,
            svg: plotSvg({
              title: `Scheme ${scheme}`,
              xTitle: 'task',
              yTitle: 'accuracy or F1 (%)',
              yWithin: [0, 100],
              names: tasks,
              series: [{ name: 'the model as it is', points: before }, ...plotted],
            }),
          },
          table: {
            header: ['method', ...tasks.map((task) => `${task}, ${plural(rowsOf(task, finished), 'row')}`)],
            rows: [
              [
                'the model as it is',
                ...tasks.map((task) => (asItIs.has(task) ? percentOf(asItIs.get(task)!).toFixed(1) : '–')),
              ],
              ...optimizers.map((optimizer) => [
                optimizer,
                ...tasks.map((task) => {
                  const method = find(optimizer, task);
                  return method ? scoreText(method.own) : '–';
                }),
              ]),
              ...(tasks.some((task) => constantOf(asItIs.get(task)) !== undefined)
                ? [['always the same option', ...tasks.map((task) => constantOf(asItIs.get(task)) ?? '–')]]
                : []),
              ...publishedRows,
            ],
          },
        };
      }),
      {
        title: 'Differences from SubZero of the same scheme',
        text:
          'In percentage points, paired by seed. How likely chance is to make such a difference: over the seeds ' +
          '(Student’s paired test), over the examples (paired bootstrap), and the larger of both corrected after ' +
          'Holm.',
        table: {
          header: ['task', 'method', 'seeds', 'difference', 'over seeds', 'over examples', 'after Holm'],
          rows: compared.map(({ method, seeds, difference, overSeeds, overExamples, corrected }) => [
            method.task,
            `${method.optimizer}, ${method.scheme}`,
            String(seeds),
            interval(difference, 1),
            Number.isNaN(overSeeds) ? '–' : overSeeds.toFixed(4),
            overExamples.toFixed(4),
            Number.isNaN(corrected) ? '–' : corrected.toFixed(4),
          ]),
        },
      },
      ...(claim ? [claim.section] : []),
      {
        title: 'The search for the learning rate (first seed)',
        text: `Loss on the rows held out from training; the lowest is chosen. ${endsOfSearches(
          methods.map(({ task, scheme, optimizer, learningRate, searched }) => ({
            ...{ title: `${optimizer}, ${scheme} on ${task}`, learningRate },
            tried: searched.map(({ cell }) => Number(cell.learningRate)),
          })),
        )}`.trim(),
        table: {
          header: ['task', 'method', 'chosen', 'searched', 'passes', 'seconds of training'],
          rows: methods.map(({ task, scheme, optimizer, learningRate, own, searched }) => [
            task,
            `${optimizer}, ${scheme}`,
            String(learningRate),
            searched
              .map(({ cell, result }) => `${cell.learningRate}: ${result.validationLoss?.toFixed(4) ?? 'failed'}`)
              .join(', '),
            String(own[0]!.result.passes),
            mean(own.map(({ result }) => result.trainSeconds)).toFixed(0),
          ]),
        },
      },
    ],
  };
}

/** The number of rows of a task that are evaluated. */
function rowsOf(task: string, finished: readonly Done[]): number {
  return Math.max(0, ...finished.filter(({ cell }) => cell.task === task).map(({ result }) => result.scores.length));
}

/** The method with the highest mean on a task, beside the model as it is. */
function bestText(task: string, methods: readonly Method[], before: Done | undefined): string[] {
  const own = methods.filter((each) => each.task === task && percents(each.own).length > 0);
  if (own.length === 0) return [];
  const best = own.reduce((a, b) => (mean(percents(b.own)) > mean(percents(a.own)) ? b : a));
  const reached = `${task} ${scoreText(best.own)} with ${best.optimizer} (${best.scheme})`;
  if (!before) return [reached];
  const base = `${percentOf(before).toFixed(1)} as it is`;
  const constant = before.result.constant ?? 0;
  const text =
    mean(percents(best.own)) > percentOf(before)
      ? `${reached}, ${base}`
      : `${task} ${base}, above which no method has come`;
  // What stays below this may have learnt nothing but which answer is frequent.
  return [
    mean(percents(best.own)) > 100 * constant ? text : `${text}, ${constantOf(before)} by always the same option`,
  ];
}

/** In percent, as text. */
function constantOf(before: Done | undefined): string | undefined {
  const constant = before?.result.constant;
  return constant === undefined ? undefined : (100 * constant).toFixed(1);
}

function methodsOf({ seeds }: ExperimentRequest, finished: readonly Done[]): Method[] {
  const trained = finished.filter(({ cell }) => !cell.asItIs && !cell.short);
  return [...grouped(trained, ({ task, scheme, optimizer }) => `${task} ${scheme} ${optimizer}`).values()].map(
    (cells) => {
      const searched = cells.filter(({ cell }) => cell.seed === seeds[0]);
      const best = searched[bestOf(searched.map(({ result }) => -(result.validationLoss ?? Number.NaN)))]!.cell;
      const own = cells.filter(({ cell }) => cell.learningRate === best.learningRate);
      const [task, scheme, optimizer] = [best.task, best.scheme, best.optimizer].map(String) as [
        string,
        string,
        string,
      ];
      return { task, scheme, optimizer, learningRate: Number(best.learningRate), own, searched };
    },
  );
}

interface Comparison {
  method: Method;
  seeds: number;
  difference: ReturnType<typeof summary>;
  /** NaN of one seed. */
  overSeeds: number;
  overExamples: number;
  /**
   * The larger of both after Holm: a difference must be more than the luck of seeds and that of examples. NaN of one
   * seed, whose luck nobody knows.
   */
  corrected: number;
}

function comparisons(methods: readonly Method[]): Comparison[] {
  const made = methods.flatMap((method) => {
    const base = methods.find(
      ({ task, scheme, optimizer }) =>
        task === method.task && scheme === method.scheme && optimizer === 'subzero' && method.optimizer !== 'subzero',
    );
    const pairs = base ? pairsOf(method.own, base.own) : [];
    if (pairs.length === 0) return [];
    const differences = pairs.map(([one, other]) => percentOf(one) - percentOf(other));
    const [overSeeds, overExamples] = [studentProbability(differences), probabilityOf(pairs)];
    return [{ method, seeds: pairs.length, difference: summary(differences), overSeeds, overExamples }];
  });
  const corrected = holm(made.map(({ overSeeds, overExamples }) => Math.max(overExamples, overSeeds)));
  return made.map((each, index) => ({ ...each, corrected: corrected[index]! }));
}

/** Runs with the same seed, neither of which failed. */
function pairsOf(own: readonly Done[], base: readonly Done[]): [Done, Done][] {
  return own.flatMap((one): [Done, Done][] => {
    const other = base.find(({ cell }) => cell.seed === one.cell.seed);
    return other && !one.result.failed && !other.result.failed ? [[one, other]] : [];
  });
}

/** How likely two methods that are alike are to differ this much: each example with its mean over the seeds. */
function probabilityOf(pairs: readonly [Done, Done][]): number {
  const [first] = pairs[0]!;
  const differences = first.result.scores.map((_, example) =>
    mean(pairs.map(([one, other]) => one.result.scores[example]! - other.result.scores[example]!)),
  );
  const [draws] = bootstrap(differences.length, [
    (drawn) => {
      let sum = 0;
      for (let index = 0; index < drawn.length; index++) sum += differences[drawn[index]!]!;
      return sum / drawn.length;
    },
  ]);
  // Draws of a few examples that all differ in the same direction never change sign, as coins do.
  const differing = differences.filter((value) => value !== 0).length;
  return Math.min(1, Math.max(pairedProbability(draws!), 2 ** (1 - differing)));
}

/** Sparse MeZO's claim as two cells that pass or fail. */
function claimSection(
  methods: readonly Method[],
  finished: readonly Done[],
): { verdict: string; contradicts: boolean; section: Section } | undefined {
  const find = (name: string) =>
    methods.find(({ task, scheme, optimizer }) => task === sparseClaim.task && scheme === 'full' && optimizer === name);
  const [sparse, mezo] = [find('sparse-mezo'), find('mezo')];
  if (!sparse || !mezo) return undefined;
  const pairs = pairsOf(sparse.own, mezo.own);
  if (pairs.length === 0) return undefined;
  const { points, speedup } = sparseClaim;
  const above = pairedDifference(
    pairs.map(([one]) => percentOf(one)),
    pairs.map(([, other]) => percentOf(other)),
  );
  const short = pairsOf(
    finished.filter(({ cell }) => cell.short),
    mezo.own,
  );
  const sooner = pairedDifference(
    short.map(([one]) => percentOf(one)),
    short.map(([, other]) => percentOf(other)),
  );
  const say = (passes: boolean) => (passes ? 'passes' : 'fails');
  const isOpen = (each: Summary, threshold: number): boolean => !(Math.abs(each.mean - threshold) > each.halfWidth95);
  const accuracy = say(above.mean >= points);
  const speed = short.length === 0 ? 'is not measured yet' : say(sooner.mean >= 0);
  const open = isOpen(above, points);
  const soonerText =
    short.length === 0
      ? ''
      : `, with ${interval(sooner, 1)} points${isOpen(sooner, 0) ? ', which these seeds do not decide' : ''}`;
  const asItIs = finished.find(({ cell }) => cell.asItIs && cell.task === sparseClaim.task);
  const learnt = asItIs === undefined || mean(percents(mezo.own)) > percentOf(asItIs);
  const contradicts = accuracy === 'fails' && !open && learnt;
  return {
    contradicts,
    verdict:
      (contradicts ? 'Contradicts Sparse MeZO’s paper, at this size and in so few steps. ' : '') +
      `Sparse MeZO's claim on RTE (its paper: ${points} points above MeZO, ${speedup} times as fast, LLaMA-7B) ` +
      `${accuracy} here for accuracy, with ${interval(above, 1)} points, and ${speed} for speed${soonerText}.` +
      (learnt ? '' : ' MeZO itself is no better there than the model as it is, so this says nothing of either.'),
    section: {
      title: "Sparse MeZO's claim on RTE",
      text:
        `The paper (arXiv 2402.15751) has it of ` +
        `LLaMA-7B.${open ? ` The interval includes ${points} points: these seeds do not decide.` : ''}`,
      table: {
        header: ['claim', 'measured', 'seeds', 'verdict'],
        rows: [
          [`${points} points above MeZO`, `${interval(above, 1)} points`, String(pairs.length), accuracy],
          [
            `as good as MeZO after 1/${speedup} of the steps`,
            short.length === 0 ? '–' : `${interval(sooner, 1)} points`,
            String(short.length),
            speed,
          ],
        ],
      },
    },
  };
}

function differenceText({ method: { task, optimizer, scheme }, difference }: Comparison): string {
  return `${optimizer} (${scheme}) on ${task} by ${interval(difference, 1)} points`;
}

function scoreText(cells: readonly Done[]): string {
  const values = percents(cells);
  const failures = cells.length - values.length;
  const text = values.length === 0 ? '–' : interval(summary(values), 1);
  return failures === 0 ? text : `${text} (${failures} failed)`;
}

async function configOf(model: string): Promise<Record<string, unknown>> {
  // A file of GGUF has no config.json; nothing is published of such.
  const text = await readFile(join(model, 'config.json'), 'utf8').catch(() => '{}');
  return JSON.parse(text) as Record<string, unknown>;
}
