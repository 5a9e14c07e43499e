import { plural } from '../format.ts';
import { attentions, type Decoder, keyAxis, queriesAndValues } from '../model/decoder.ts';
import { readConfigurationFile } from '../model/load.ts';
import { parameterShapes } from '../model/parameters.ts';
import type { SchemeName } from '../settings/schemes.ts';
import { axisLength } from '../tensor/axis.ts';
import { mostSquare } from '../tuning/adapter.ts';
import { batchOf } from './batch.ts';
import { derivatives } from './derivatives.ts';
import { type Cell, defineExperiment, type Finished, type Laboratory, type Section } from './experiment.ts';
import { grouped, known, lossesOfSeeds, scores, scoresOfSeeds } from './groups.ts';
import { plotSvg, pointOf } from './plot.ts';
import { centreRate, checkNames, isSmallModel } from './search.ts';
import { interval, mean, pairedDifference, type Summary, summary } from './statistics.ts';
import { rankOfView, secondMoment, shareVariation, type View } from './subspace-moments.ts';
import { scoreName, type TrainedCell, trainCell } from './train-cell.ts';

const steps = 300;
const rank = 8;

/** Steps that a subspace is kept. */
const refresh = 100;

/** Pairs of LoRA by their rank, virtual tokens by their number: the thin side of what trains. */
const sizes = { lora: [2, 8], prompt: [5, 20], prefix: [5, 20] } as const;
type AddedScheme = keyof typeof sizes;
const schemes = Object.keys(sizes) as AddedScheme[];

/** Subspaces of a measurement of how evenly they catch, no more than --steps; directions in each, and examples. */
const periods = 40;
const queries = 16;
const batchSize = 8;

/** ρ² averaged over the directions of a subspace: what μ²‖Uᵀ∇f V‖² is there, up to noise that is known. */
interface Caught {
  /** For each subspace. */
  squares: number[];
}

type Result = TrainedCell | Caught;

/** Whether SubZero should see long thin tensors as nearly square ones, which its paper leaves open. */
export const reshape = defineExperiment<Result>({
  title: 'Should thin tensors be seen as square ones?',
  question:
    'Does training of LoRA, prompts and prefixes reach more where SubZero draws its subspaces in the most-square ' +
    'view of a tensor than where it draws them in the tensor as it is?',
  method:
    `Runs differ in the view alone (--reshape): both have the same rank, learning rate, directions and batches. ` +
    `LoRA has ` +
    `ranks ${sizes.lora.join(' and ')}, prompts and prefixes ${sizes.prompt.join(' and ')} virtual tokens. In theory ` +
    '(docs/method.md, "The view of a tensor") the estimate has the same mean and the same variance in every view, ' +
    'except that a thin side clips the rank; where the mean of a period is taken, q coefficients of N elements leave ' +
    'N/q of the squared gradient, and so a clipped rank costs. The view also decides how evenly subspaces catch: for ' +
    `a prompt, ρ² is measured along ${queries} directions in each of ${periods} subspaces on the same ${batchSize} ` +
    'examples without moving. Intervals are 95 % by Student’s t over the seeds; differences are paired by seed.',
  reads: ['steps', 'ranks', 'schemes', 'learningRates', 'limit'],
  data: ['train', 'evaluation'],
  async cells({ model, seeds, ranks = [rank], schemes: chosen = schemes, learningRates }) {
    checkNames('schemes', chosen, schemes);
    const small = await isSmallModel(model);
    const runs = (chosen as AddedScheme[]).flatMap((scheme) =>
      (learningRates ?? [centreRate('subzero', scheme, small)]).flatMap((learningRate) =>
        ranks.flatMap((each) =>
          sizes[scheme].flatMap((size) =>
            seeds.flatMap((seed) =>
              [true, false].map((square): Cell => ({ scheme, size, rank: each, learningRate, square, seed })),
            ),
          ),
        ),
      ),
    );
    const caught = ranks.flatMap((each) =>
      sizes.prompt.flatMap((size) =>
        seeds.flatMap((seed) =>
          [true, false].map((square): Cell => ({ caught: true, size, rank: each, square, seed })),
        ),
      ),
    );
    return chosen.includes('prompt') ? [...runs, ...caught] : runs;
  },
  measure: (laboratory, cell) => (cell.caught ? measureCaught(laboratory, cell) : train(laboratory, cell)),
  async report({ model, steps: given = steps }, finished) {
    const decoder = await readConfigurationFile(model);
    const trained = finished.filter(({ cell }) => !cell.caught) as Finished<TrainedCell>[];
    const caught = finished.filter(({ cell }) => cell.caught) as Finished<Caught>[];
    const name = scoreName(trained.map(({ result }) => result));
    // A rate tells runs apart where a scheme has several.
    const rated = [...grouped(trained, ({ scheme }) => String(scheme))].filter(
      ([, own]) => new Set(own.map(({ cell }) => cell.learningRate)).size > 1,
    );
    const severalRates = new Set(rated.map(([scheme]) => scheme));
    const groups = [...grouped(trained, (cell) => `${titleOf(cell)} ${cell.learningRate}`).values()].map((own) => {
      const [square, thin] = [true, false].map((view) => own.filter(({ cell }) => cell.square === view));
      const { cell } = own[0]!;
      const rate = severalRates.has(String(cell.scheme)) ? `, η ${cell.learningRate}` : '';
      return { title: `${titleOf(cell)}${rate}`, square: square!, thin: thin!, cell };
    });
    const differences = groups.map(({ square, thin }) => pairedDifference(scores(square), scoresOfSeeds(thin, square)));
    // Accuracy moves by whole rows; the loss tells apart what does not turn one.
    const losses = groups.map(({ square, thin }) =>
      pairedDifference(lossesOfSeeds(square), lossesOfSeeds(thin, square)),
    );
    const hasLosses = name === 'accuracy';
    const titles = groups.map(({ title }) => title);
    const byLoss = verdict('loss', titles, losses.map(negated));
    const verdicts = hasLosses ? [verdict(name, titles, differences), byLoss] : [byLoss];
    const rows = groups.map(({ title, square, thin, cell }, index) => [
      title,
      ...viewTexts(decoder, cell),
      ...[String(cell.learningRate), pairsText(square, thin)],
      interval(summary(known(scores(square)))),
      interval(summary(known(scores(thin)))),
      interval(differences[index]!),
      ...(hasLosses ? [interval(losses[index]!)] : []),
    ]);
    return {
      lead:
        groups.length > 0 && losses.every(({ halfWidth95 }) => Number.isNaN(halfWidth95))
          ? `After ${plural(given, 'step')}, in ${groups.length} cases, no view is measured with both of two seeds, ` +
            'without which nothing is known of how sure a difference is.'
          : `After ${plural(given, 'step')}, in ${groups.length} cases, the most-square view has ` +
            `${verdicts.join(', and ')}, beyond 95 % intervals, of which chance alone has one in twenty show a ` +
            'difference.',
      sections: [
        {
          title: `By view: ${name}`,
          text:
            'Differences are the square view’s value minus that of the tensor as it is: a better ' +
            `${name} is above 0${hasLosses ? ', a better loss below' : ''}. ` +
            'Sides and clipped ranks are those of the first layer’s tensors. "Of a period" is E‖ĝ‖²/‖∇f‖² of the ' +
            `mean of ${refresh} estimates in one subspace, by theory, for the largest of these tensors.`,
          plot: {
            name: 'reshape.svg',
            describes: `${name} of both views, by scheme and size`,
            svg: plotSvg({
              title: `Both views after ${plural(given, 'step')}`,
              xTitle: 'what trains',
              yTitle: name,
              names: groups.map(({ title }) => title),
              series: [
                {
                  name: 'most-square view',
                  points: groups.map(({ square }, x) => pointOf(x, summary(known(scores(square))))),
                },
                {
                  name: 'the tensor as it is',
                  points: groups.map(({ thin }, x) => pointOf(x, summary(known(scores(thin))))),
                },
              ],
            }),
          },
          table: {
            header: [
              ...['what trains', 'as it is', 'square', 'of a period: as it is', 'square', 'η', 'seeds'],
              ...[`${name}: square`, 'as it is', 'difference'],
              ...(hasLosses ? ['loss: difference'] : []),
            ],
            rows,
          },
        },
        ...(caught.length > 0 ? [evenness(decoder, caught)] : []),
      ],
    };
  },
});

/** In how many cases a difference of the views stands; `differences` are above 0 where the square view is better. */
function verdict(what: string, titles: readonly string[], differences: readonly Summary[]): string {
  const text = (sign: 1 | -1): string => {
    const signed = differences.map((each) => ({ ...each, mean: sign * each.mean }));
    const clear = signed.flatMap((each, index) =>
      each.mean > each.halfWidth95 ? [`${titles[index]} by ${interval(each)}`] : [],
    );
    return clear.length === 0 ? 'none' : `${clear.length} (${clear.join(', ')})`;
  };
  return `a better ${what} in ${text(1)} and a worse one in ${text(-1)}`;
}

const negated = (each: Summary): Summary => ({ ...each, mean: -each.mean });

function train(laboratory: Laboratory, cell: Cell): Promise<TrainedCell> {
  return trainCell(laboratory, {
    ...settingsOf(cell.scheme as AddedScheme, cell),
    learningRate: Number(cell.learningRate),
    refresh,
    steps: laboratory.request.steps ?? steps,
  });
}

function settingsOf(scheme: AddedScheme, { size, seed, square, rank: given }: Cell) {
  const own = scheme === 'lora' ? { loraRank: Number(size) } : { virtualTokens: Number(size) };
  return {
    optimizer: 'subzero',
    scheme,
    ...own,
    rank: Number(given),
    seed: Number(seed),
    reshape: square === true,
  } as const;
}

async function measureCaught(laboratory: Laboratory, cell: Cell): Promise<Caught> {
  const { request } = laboratory;
  const configuration = { ...settingsOf('prompt', cell), queries, refresh: 1 };
  const rows = await batchOf(request, Number(cell.seed), batchSize);
  const wanted = Math.max(2, Math.min(periods, request.steps ?? periods));
  const squares: number[] = [];
  const place = { model: request.model, configuration, rows };
  for await (const { projectedGradients } of derivatives(laboratory, place, wanted)) {
    squares.push(mean(projectedGradients.map((value) => value ** 2)));
  }
  return { squares };
}

/**
 * Squared coefficient of variation of what subspaces catch. A mean of K squares of N(0, s) has variance 2s²/K beside
 * that of s, which is taken off.
 */
export function variationOf(squares: readonly number[], directions: number): number {
  const centre = mean(squares);
  const variance = squares.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (squares.length - 1);
  return (variance / centre ** 2 - 2 / directions) / (1 + 2 / directions);
}

function evenness(decoder: Decoder, caught: readonly Finished<Caught>[]): Section {
  const rows = [...grouped(caught, titleOf)].flatMap(([title, both]) =>
    [...grouped(both, ({ square }) => String(square))].map(([square, own]) => {
      const [view] = viewsOf(decoder, { ...own[0]!.cell, scheme: 'prompt' });
      const { rows: a, columns: b } = view!;
      const variation = own.map(({ result }) => variationOf(result.squares, queries));
      const [least, most] = [1 / Math.min(a, b), 1].map((concentration) => shareVariation(view!, concentration));
      return [
        `prompt ${title}`,
        `${square === 'true' ? 'square' : 'as it is'}, ${a} × ${b}`,
        String(own.length),
        interval(summary(own.map(({ result }) => mean(result.squares))), 3),
        interval(summary(variation), 3),
        `${least!.toFixed(3)} to ${most!.toFixed(3)}`,
      ];
    }),
  );
  return {
    title: 'How evenly subspaces catch',
    text:
      'The mean of ρ² is the squared gradient in every view. What a subspace catches varies around it: least for a ' +
      'gradient with equal singular values in the view, most for one of rank one.',
    table: { header: ['tensor', 'view', 'seeds', 'mean of ρ²', 'squared variation', 'by theory between'], rows },
  };
}

function titleOf({ scheme = '', size, rank: given }: Cell): string {
  return [`${scheme} ${size}`.trim(), ...(given === rank ? [] : [`r ${given}`])].join(', ');
}

/** Seeds of both views, and how many of their runs failed. */
function pairsText(square: readonly Finished<TrainedCell>[], thin: readonly Finished<TrainedCell>[]): string {
  const failures = [...square, ...thin].filter(({ result }) => result.failed).length;
  return `${square.length}${failures > 0 ? ` (${plural(failures, 'run')} failed)` : ''}`;
}

/** What a cell's scheme adds in the first layer, as its view has it. */
export function viewsOf(decoder: Decoder, { scheme, size, rank: given, square }: Cell): View[] {
  return addedShapes(decoder, scheme as SchemeName, Number(size)).map(([a, b]) => {
    const [rows, columns] = square ? mostSquare(a * b) : [a, b];
    return { rows, columns, rank: Number(given) };
  });
}

/** The different shapes of the tensors that a scheme adds to the first layer. */
function addedShapes(decoder: Decoder, scheme: SchemeName, size: number): [number, number][] {
  const shapes = new Map(parameterShapes(decoder).map(({ name, shape }) => [name, shape]));
  if (scheme === 'prompt') return [[size, shapes.get(decoder.embedding.weight)![1]!]];
  const [attention] = attentions(decoder);
  if (!attention) return [];
  if (scheme === 'prefix') return [[size, axisLength(keyAxis(attention))]];
  const all = queriesAndValues(attention).flatMap(({ weight }): [number, number][] => {
    const [out, into] = shapes.get(weight)!;
    return [
      [size, into!],
      [out!, size],
    ];
  });
  return [...new Map(all.map((shape) => [shape.join(' × '), shape])).values()];
}

/** Sides with clipped ranks as they are and most square, and what theory says of a period. */
function viewTexts(decoder: Decoder, cell: Cell): string[] {
  const views = [false, true].map((square) => viewsOf(decoder, { ...cell, square }));
  const text = (view: View) => `${view.rows} × ${view.columns} (r ${rankOfView(view)})`;
  const largest = views[0]!
    .map(({ rows, columns }, index) => ({ elements: rows * columns, index }))
    .reduce((a, b) => (b.elements > a.elements ? b : a)).index;
  return [
    ...views.map((own) => [...new Set(own.map(text))].join(', ')),
    ...views.map((own) => secondMoment(own[largest]!, refresh).toFixed(1)),
  ];
}
