import { join } from '../platform/index.ts';
import { resolveConfiguration } from '../settings/configuration.ts';
import { openJournal } from '../zo/journal.ts';
import { defineExperiment } from './experiment.ts';
import { grouped } from './groups.ts';
import { matrixKinds, shortName } from './matrices.ts';
import { plotSvg } from './plot.ts';
import { interval, mean, type Summary, summary } from './statistics.ts';

/** Directions of a cell. */
const draws = 200;

/** Examples of a batch. */
const batchSize = 16;

interface Projections {
  /** Mean of ρ² over the directions: the squared length of the gradient's projection. */
  meanSquare: number;
  directions: number;
}

/** How much of the gradient random subspaces catch, and how noisy an estimate from it is. */
export const variance = defineExperiment<Projections>({
  title: 'How much of the gradient do random subspaces catch?',
  question:
    'Which share of the squared gradient of a matrix lies in SubZero’s random subspace of rank r, by kind of layer, ' +
    'and is ' +
    'that more than of a gradient without structure?',
  method:
    `A step with learning rate 0 measures ρ = zᵀ∇f along a Gaussian direction and moves nothing. Over many ` +
    `directions the ` +
    `mean of ρ² is the squared length of the gradient, for MeZO of the whole one, for SubZero with μ = 1 of its ` +
    `projection Uᵀ∇f V. Their quotient is the share that a subspace catches: r²/(mn) on average for a gradient ` +
    `without ` +
    `structure in a matrix of m × n. A new subspace is drawn every 10 directions. A cell has ${draws} directions (or ` +
    `--steps), each with a batch of ${batchSize} examples that is the same for both, and the matrices of one kind. ` +
    `No ` +
    'back-propagation is involved. Intervals are 95 % by Student’s t over the seeds.',
  reads: ['ranks', 'steps'],
  async cells({ model, seeds, ranks = [4, 8, 16, 32] }) {
    const kinds = [...(await matrixKinds(model)).keys()];
    return seeds.flatMap((seed) =>
      kinds.flatMap((kind) => [
        { seed, kind, optimizer: 'mezo', rank: 0 },
        ...ranks.map((rank) => ({ seed, kind, optimizer: 'subzero', rank })),
      ]),
    );
  },
  async measure({ engine, request, folder, signal }, { seed, kind, optimizer, rank }) {
    const { model, data } = request;
    const out = join(folder, 'run');
    const count = request.steps ?? draws;
    const configuration = resolveConfiguration({
      ...request.reading,
      ...{ optimizer: optimizer as 'mezo' | 'subzero', seed: Number(seed), learningRate: 0, steps: count, batchSize },
      ...(rank === 0 ? {} : { rank: Number(rank), refresh: 10, normAlignment: false }),
      parameters: [String(kind)],
    });
    for await (const _ of engine.train({ model, data, configuration, out }, signal));
    if (signal.aborted) return { meanSquare: Number.NaN, directions: 0 };
    const { records } = await openJournal(join(out, 'journal.subzero'));
    const squares = records.map(({ projectedGradients }) => projectedGradients[0]! ** 2);
    return { meanSquare: mean(squares), directions: squares.length };
  },
  async report({ model }, finished) {
    const shapes = await matrixKinds(model);
    const rows: string[][] = [];
    const series = new Map<string, { x: number; y: number; error?: number }[]>();
    const gains: Summary[] = [];
    for (const [kind, cells] of grouped(finished, (cell) => String(cell.kind))) {
      const whole = new Map(
        cells.filter(({ cell }) => cell.rank === 0).map(({ cell, result }) => [cell.seed, result.meanSquare]),
      );
      for (const [rank, own] of grouped(
        cells.filter(({ cell }) => cell.rank !== 0),
        (cell) => String(cell.rank),
      )) {
        const shares = own.map(({ cell, result }) => result.meanSquare / (whole.get(cell.seed) ?? Number.NaN));
        const [m, n] = shapes.get(kind)!.shape;
        const expected = Number(rank) ** 2 / (m * n);
        const gain = summary(shares.map((share) => share / expected));
        const short = shortName(kind);
        rows.push([short, `${m} × ${n}`, rank, percent(mean(shares)), percent(expected), interval(gain, 2)]);
        gains.push(gain);
        const error = Number.isNaN(gain.halfWidth95) ? {} : { error: gain.halfWidth95 };
        series.set(short, [...(series.get(short) ?? []), { x: Number(rank), y: gain.mean, ...error }]);
      }
    }
    const means = gains.map((gain) => gain.mean).toSorted((a, b) => a - b);
    const middle = means[Math.floor(means.length / 2)] ?? Number.NaN;
    const apart = gains.filter((gain) => Math.abs(gain.mean - 1) > gain.halfWidth95).length;
    return {
      lead:
        `A random subspace catches ${middle.toFixed(2)} times (median over kinds and ranks; ` +
        `${means[0]!.toFixed(2)} to ${means.at(-1)!.toFixed(2)}) the share of the squared gradient that it would of ` +
        `a ` +
        `gradient without structure. In ${apart} of ${gains.length} cases the 95 % interval excludes 1` +
        (apart <= gains.length / 10
          ? ', about as many as chance makes: uniformly drawn subspaces know nothing of where the gradient lies.'
          : '.'),
      sections: [
        {
          title: 'Share caught by kind and rank',
          plot: {
            name: 'variance.svg',
            describes:
              'Share of the squared gradient that a random subspace catches, over what it would of one without ' +
              'structure',
            svg: plotSvg({
              title: 'Share caught, relative to a gradient without structure',
              xTitle: 'rank r',
              yTitle: 'measured share / (r²/mn)',
              xLogarithmic: true,
              series: [...series].map(([name, points]) => ({ name, points })),
              marks: [{ y: 1, name: 'a gradient without structure' }],
            }),
          },
          table: { header: ['kind', 'shape', 'r', 'share caught', 'r²/mn', 'quotient'], rows },
        },
      ],
    };
  },
});

function percent(share: number): string {
  return `${(100 * share).toPrecision(3)} %`;
}
