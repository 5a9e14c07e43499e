import { resolveConfiguration } from '../settings/configuration.ts';
import { batchOf } from './batch.ts';
import { derivatives } from './derivatives.ts';
import { type Estimate, type EstimatingMethod, estimatesOf, estimatingMethods } from './directions.ts';
import { type Cell, defineExperiment, type Finished } from './experiment.ts';
import { grouped } from './groups.ts';
import { type MatrixKind, matrixKinds, shortName } from './matrices.ts';
import { plotSvg, pointOf } from './plot.ts';
import { checkNames } from './search.ts';
import { aboutStages, atStages, modelAt, stageText } from './stages.ts';
import { interval, mean, type Summary, summary } from './statistics.ts';

/**
 * Directions of a cell, and those of a step: SubZero draws a subspace for each step. SubZero+ has all of them in one,
 * but no more than its paper.
 */
const directions = 64;
const queries = 8;
const mostTogether = 99;

/** Examples of the batch whose gradient is estimated. */
const batchSize = 8;

/**
 * Added to the seed of HiZOO, whose directions would be those of MeZO that the gradient is measured along: held against
 * themselves they say nothing. Sparse MeZO's, which share MeZO's noise, say the more for it, as most noise is in both.
 */
const otherNoise = 2 ** 32;

/** Methods that draw subspaces, whose rank matters. */
const ranked: readonly EstimatingMethod[] = ['subzero', 'subzero-plus'];

/** Means over the estimates ĝ of a cell. */
interface Measured {
  /** Directions of all of them together. */
  directions: number;
  /** Mean of ⟨ĝ, ∇f⟩: of MeZO the squared gradient, of SubZero what its subspaces catch of it times μ². */
  square: number;
  /** Mean of ⟨ĝ, ∇f⟩² / ‖ĝ‖², the squared cosine of ĝ to the gradient times the squared gradient. */
  cosine: number;
  /** Mean of ‖ĝ‖². */
  moment: number;
}

/** How close one estimate is to the gradient, and how noisy. */
export const variance = defineExperiment<Measured>({
  title: 'How good are the estimates of the gradient?',
  question:
    'How close to the true gradient of a matrix is one estimate of SubZero, SubZero+, MeZO, Sparse MeZO and HiZOO, ' +
    'how much does it vary, and which share of the gradient does a subspace catch, by rank, layer and stage of ' +
    'training?',
  method:
    'ρ = dᵀ∇f is measured by central differences along the directions d that a method draws, in one matrix of the ' +
    `first or the last layer at a time, ${directions} of them (or --steps), ${queries} in each of SubZero’s ` +
    `subspaces, all on the same ${batchSize} examples, without moving. As MeZO’s directions cover the whole matrix, ` +
    'the mean of their ρ² is the squared length of the gradient; ρ²/‖d‖² is the squared cosine of the estimate ρd to ' +
    'it times that. No back-propagation is involved. In a matrix of N elements theory has a mean squared cosine of ' +
    '1/N for MeZO and for SubZero, whatever the gradient, and a variance of N + 1 and about N (1 + 2/r²) − 1 times ' +
    'the squared gradient; Sparse MeZO sees the elements of its mask alone, along the noise of MeZO, which tells ' +
    'their share of the gradient more closely, and with K directions too low by 2/K of itself at most. HiZOO begins ' +
    'with a curvature of 1, where its directions are like MeZO’s, and keeps what it measures of it from there. ' +
    `SubZero+ takes the one-sided mean of all K directions of a cell, ${mostTogether} at most, in one subspace, and ` +
    'stands beside the mean of as many of MeZO’s: its squared cosine is r²/(r² + K + 1) times that by theory, as a ' +
    'subspace has no more than r² coordinates (docs/method.md); it takes K + 1 passes, and the others 2 for each ' +
    'direction. ' +
    `${aboutStages} Intervals are 95 % by Student’s t over the seeds, each with its mean over the matrices where ` +
    'several are seen together.',
  reads: ['ranks', 'steps', 'stages', 'optimizers'],
  data: ['train'],
  async cells({ model, seeds, stages, ranks = [4, 16], optimizers = estimatingMethods }) {
    checkNames('optimizers', optimizers, estimatingMethods);
    // Every estimate is held against the gradient that MeZO's directions measure.
    const chosen = new Set(['mezo', ...optimizers]) as Set<EstimatingMethod>;
    const matrices = [...matricesOf(await matrixKinds(model))];
    const cells = seeds.flatMap((seed) =>
      matrices.flatMap(([matrix, shape]) => {
        const clipped = new Set(ranks.map((rank) => Math.min(rank, ...shape)));
        return [...chosen].flatMap((optimizer) =>
          (ranked.includes(optimizer) ? [...clipped] : [0]).map((rank): Cell => ({ seed, matrix, optimizer, rank })),
        );
      }),
    );
    return atStages(cells, stages);
  },
  async measure(laboratory, cell) {
    const { request } = laboratory;
    const [matrix, rank, optimizer] = [String(cell.matrix), Number(cell.rank), cell.optimizer as EstimatingMethod];
    const given = request.steps ?? directions;
    const wanted = optimizer === 'subzero-plus' ? Math.min(given, mostTogether) : given;
    const ofStep = optimizer === 'subzero-plus' ? wanted : queries;
    const seed = Number(cell.seed);
    const configuration = resolveConfiguration({
      ...{ optimizer, parameters: [matrix], queries: ofStep },
      seed: optimizer === 'hizoo' ? seed + otherNoise : seed,
      ...(rank === 0 ? {} : { rank, refresh: 1 }),
    });
    const model = await modelAt(laboratory, cell);
    const rows = await batchOf(request, seed, batchSize);
    const [m, n] = matricesOf(await matrixKinds(request.model)).get(matrix)!;
    const steps = Math.ceil(wanted / ofStep);
    const estimatesOfStep = estimatesOf(configuration, { name: matrix, elements: m * n });
    const estimates: Estimate[] = [];
    let step = 0;
    for await (const probe of derivatives(laboratory, { model, configuration, rows }, steps)) {
      estimates.push(...estimatesOfStep(step++, probe));
    }
    return {
      directions: steps * ofStep,
      square: mean(estimates.map(({ along }) => along)),
      cosine: mean(estimates.map(({ along, square }) => along ** 2 / square)),
      moment: mean(estimates.map(({ square }) => square)),
    };
  },
  async report({ model }, finished) {
    const judged = judge(finished, matricesOf(await matrixKinds(model)));
    const flat = flatMatrices(finished);
    const flatText =
      flat.length === 0 ? '' : ` Left out, as these examples have no gradient there: ${flat.join(', ')}.`;
    const methods = [...grouped(judged, ({ optimizer, rank, stage }) => `${optimizer} ${rank} ${stage}`).values()]
      .filter(([first]) => first!.cell.optimizer !== 'mezo')
      .map((own) => ({ own, name: nameOf(own[0]!.cell), stage: stageText(own[0]!.cell), ...pooled(own) }));
    const of = (optimizer: EstimatingMethod) => methods.filter(({ own }) => own[0]!.cell.optimizer === optimizer);
    return {
      lead: `${leadOf(of('subzero'))}${othersOf([...of('subzero-plus'), ...of('hizoo')])}`,
      sections: [
        {
          title: 'All matrices together',
          text:
            'One estimate ĝ beside those of MeZO at the same point and on the same examples, a mean of K directions ' +
            'beside means of K: 1 is no difference. E‖ĝ‖² is the variance of MeZO and SubZero, which are unbiased, ' +
            'up to K parts in N; Sparse MeZO leaves most elements out, so that its estimates are shorter and have a ' +
            `bias.${flatText}`,
          plot: plotOf(methods),
          table: {
            header: [
              'method',
              'at step',
              'seeds',
              'squared cosine, × MeZO’s',
              'E‖ĝ‖², × MeZO’s',
              'share caught, × r²/N',
              'E‖ĝ‖² for the share',
            ],
            rows: methods.map((each) => [
              each.name,
              each.stage,
              String(new Set(each.own.map(({ cell }) => cell.seed)).size),
              interval(each.cosine, 3),
              interval(each.moment, 3),
              ...(Number(each.own[0]!.cell.rank) > 0
                ? [interval(each.caught, 3), interval(each.perCaught, 3)]
                : ['', '']),
            ]),
          },
        },
        {
          title: 'By matrix',
          table: {
            header: ['matrix', 'N', 'at step', 'length of the gradient', ...methodNames(methods).map(cosineOf)],
            rows: [...grouped(judged, ({ matrix, stage }) => `${matrix} ${stage}`).values()].map((own) => [
              shortName(String(own[0]!.cell.matrix)),
              String(own[0]!.result.elements),
              stageText(own[0]!.cell),
              interval(
                summary(own.filter(({ cell }) => cell.optimizer === 'mezo').map(({ result }) => result.length)),
                3,
              ),
              ...methodNames(methods).map((name) => {
                const mine = own.filter(({ cell }) => nameOf(cell) === name);
                return mine.length === 0 ? '–' : interval(summary(mine.map(({ result }) => result.cosine)), 2);
              }),
            ]),
          },
        },
      ],
    };
  },
});

/** The matrices that are looked at, with their shapes: of each kind that in the first and that in the last layer. */
function matricesOf(kinds: ReadonlyMap<string, MatrixKind>): Map<string, readonly [number, number]> {
  return new Map(
    [...kinds.values()].flatMap(({ names, shape }) => [names[0]!, names.at(-1)!].map((name) => [name, shape] as const)),
  );
}

/** What a cell says, in units of MeZO's estimates with the same seed at the same stage. */
interface Judged {
  elements: number;
  /** Length of the gradient. */
  length: number;
  /** Mean squared cosine times N. */
  cosine: number;
  /** E‖ĝ‖² / (N ‖∇f‖²). */
  moment: number;
  /** E ρ² / ‖∇f‖². */
  caught: number;
}

function judge(
  finished: readonly Finished<Measured>[],
  shapes: ReadonlyMap<string, readonly [number, number]>,
): Finished<Judged>[] {
  const placeOf = ({ seed, matrix, stage }: Cell): string => [seed, matrix, stage].join(' ');
  const gradients = new Map(
    finished.filter(({ cell }) => cell.optimizer === 'mezo').map(({ cell, result }) => [placeOf(cell), result]),
  );
  return finished.flatMap(({ cell, result, seconds }) => {
    const gradient = gradients.get(placeOf(cell));
    const shape = shapes.get(String(cell.matrix));
    if (gradient === undefined || gradient.square === 0 || shape === undefined) return [];
    const elements = shape[0] * shape[1];
    // MeZO's ρ are normal, so the inverse of their mean square is too large by K / (K − 2) on average.
    const square = (gradient.square * gradient.directions) / (gradient.directions - 2);
    // The squared cosine of a mean grows with the number of its directions, and its variance falls.
    const together = cell.optimizer === 'subzero-plus' ? result.directions : 1;
    const judged = {
      elements,
      length: Math.sqrt(gradient.square),
      cosine: (result.cosine * elements) / square / together,
      moment: (result.moment / elements / square) * together,
      caught: result.square / square,
    };
    return [{ cell, result: judged, seconds }];
  });
}

/** Matrices whose gradient is 0 for some seed, such as that of an expert that no token of the examples goes to. */
function flatMatrices(finished: readonly Finished<Measured>[]): string[] {
  const flat = finished.filter(({ cell, result }) => cell.optimizer === 'mezo' && result.square === 0);
  return [...new Set(flat.map(({ cell }) => shortName(String(cell.matrix))))];
}

/** What is judged over the seeds, each with its mean over the matrices. */
type Figures = Record<'cosine' | 'moment' | 'caught' | 'perCaught', Summary>;

/** `perCaught` is E‖ĝ‖² for what the directions catch of the gradient, more or less of which is luck. */
function pooled(own: readonly Finished<Judged>[]): Figures {
  const seeds = [...grouped(own, ({ seed }) => String(seed)).values()];
  const of = (field: 'cosine' | 'moment' | 'caught'): number[] =>
    seeds.map((cells) => mean(cells.map(({ result }) => result[field])));
  const [cosine, moment, caught] = [of('cosine'), of('moment'), of('caught')];
  return {
    ...{ cosine: summary(cosine), moment: summary(moment), caught: summary(caught) },
    perCaught: summary(moment.map((value, index) => value / caught[index]!)),
  };
}

interface Pooled extends Figures {
  own: readonly Finished<Judged>[];
  name: string;
  stage: string;
}

const methodNames = (methods: readonly Pooled[]): string[] => [...new Set(methods.map(({ name }) => name))];
const cosineOf = (name: string): string => `N cos², ${name}`;

/** The claim of SubZero's paper (arXiv 2410.08989, figure 1: OPT-1.3B, prompt tuning) against what was measured. */
function leadOf(subzero: readonly Pooled[]): string {
  if (subzero.length === 0) return 'No estimates of SubZero are measured.';
  const closer = subzero.filter(({ cosine }) => cosine.mean - cosine.halfWidth95 > 1);
  const calmer = subzero.filter(({ perCaught }) => perCaught.mean + perCaught.halfWidth95 < 1);
  const hasIntervals = subzero.every(({ cosine }) => Number.isFinite(cosine.halfWidth95));
  const texts = (field: keyof Figures) =>
    subzero.map((each) => `${interval(each[field], 2)} (${each.name}, step ${each.stage})`).join(', ');
  return (
    (hasIntervals && closer.length + calmer.length === 0
      ? 'Contradicts SubZero’s paper (figure 1: less angle error and variance than other estimates; OPT-1.3B, prompt ' +
        'tuning), where that is read as closeness to the true gradient. '
      : '') +
    `One estimate of SubZero beside one of MeZO: the squared cosine to the true gradient is × ${texts('cosine')}, ` +
    `the variance × ${texts('moment')}, and for what its subspaces happen to catch × ${texts('perCaught')}. ` +
    (hasIntervals
      ? `It is closer in ${closer.length} of ${subzero.length} cases, and varies less for what it catches in ` +
        `${calmer.length}, beyond 95 % intervals. `
      : 'One seed has no intervals. ') +
    'What it is closer to is the gradient as its subspace shows it: a cosine of about 1/r, by theory.'
  );
}

/** What is measured of the methods that the claim is not about. */
function othersOf(methods: readonly Pooled[]): string {
  if (methods.length === 0) return '';
  const texts = methods.map((each) => `${interval(each.cosine, 2)} (${each.name}, step ${each.stage})`);
  return ` The other methods' squared cosines, each beside as many directions of MeZO, are × ${texts.join(', ')}.`;
}

function plotOf(methods: readonly Pooled[]) {
  const stages = [...new Set(methods.map(({ stage }) => stage))];
  const names = methodNames(methods);
  return {
    name: 'variance.svg',
    describes: 'Squared cosine of one estimate to the true gradient, as a multiple of MeZO’s, by method and stage',
    svg: plotSvg({
      title: 'Squared cosine of one estimate to the true gradient',
      xTitle: 'method',
      yTitle: 'times MeZO’s',
      names,
      series: stages.map((stage) => ({
        name: `after ${stage} steps`,
        points: methods
          .filter((each) => each.stage === stage)
          .map(({ name, cosine }) => pointOf(names.indexOf(name), cosine)),
      })),
      marks: [{ y: 1, name: 'MeZO' }],
    }),
  };
}

function nameOf({ optimizer, rank }: Cell): string {
  return rank === 0 ? String(optimizer) : `${optimizer}, r ${rank}`;
}
