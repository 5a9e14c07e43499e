import type { DataRow } from '../engine/types.ts';
import { SubzeroError } from '../errors.ts';
import { gaussian, purposes, tensorId } from '../random/philox.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { nearestOfRank } from '../zo/low-rank.ts';
import { batchOf } from './batch.ts';
import { derivatives } from './derivatives.ts';
import { defineExperiment, type Finished, type Laboratory } from './experiment.ts';
import { grouped } from './groups.ts';
import { leastSquares, product } from './least-squares.ts';
import { matrixKinds, shortName } from './matrices.ts';
import { type PlotPoint, plotSvg, pointOf, type Series } from './plot.ts';
import { aboutStages, atStages, modelAt, stageText } from './stages.ts';
import { interval, mean, spread, summary } from './statistics.ts';

/** Examples of the batch whose gradient is measured. */
const batchSize = 8;

/** Directions of the fit for each number of the matrix. Losses have so little noise that few more are enough. */
const directionsPerNumber = 9 / 8;

/** Directions beyond those of the fit, to see how well it foretells. */
const heldOut = 16;

/** Most directions of a step, so that an interruption does not wait for long. */
const mostQueries = 32;

interface Spectrum {
  /** Singular values of Uᵀ∇f V, descending. */
  singularValues: number[];
  /** Share of the variance of ρ along directions outside of the fit that it explains. */
  explained: number;
  directions: number;
}

/** How low-rank gradients are during tuning, which SubZero's paper (arXiv 2410.08989) assumes. */
export const rankSpectrum = defineExperiment<Spectrum>({
  title: 'How low-rank are the gradients?',
  question:
    'How is the squared gradient of a matrix spread over its singular values, seen in a random subspace, and is it ' +
    'less spread than without structure?',
  method:
    'U and V of a rank r are drawn once, and ρ = ⟨Z, Uᵀ∇f V⟩ is measured along 9/8 r² Gaussian directions Z (--steps ' +
    `sets another number) by central differences, all on the same ${batchSize} examples. Least squares give the r × ` +
    `r matrix Uᵀ∇f V, of which the singular values are taken; ${heldOut} more directions say how much of ρ it ` +
    'foretells. Each cell is one matrix: of the first or the last layer. Nothing is back-propagated. A random ' +
    'subspace keeps what stands out: a gradient of rank k has k singular values there, and one without structure ' +
    `those of a Gaussian matrix, which are drawn beside it. ${aboutStages} Intervals are 95 % by Student’s t over ` +
    'the seeds.',
  reads: ['ranks', 'steps', 'stages'],
  data: ['train'],
  async cells({ model, seeds, stages, steps, ranks = [16] }) {
    const kinds = [...(await matrixKinds(model)).values()];
    const matrices = kinds.flatMap(({ names, shape }) => {
      const chosen = new Set([names[0]!, names.at(-1)!]);
      return [...chosen].map((matrix) => ({ matrix, most: Math.min(...shape) }));
    });
    const cells = ranks.flatMap((rank) =>
      seeds.flatMap((seed) => matrices.map(({ matrix, most }) => ({ seed, matrix, rank: Math.min(rank, most) }))),
    );
    const highest = Math.max(...cells.map(({ rank }) => rank));
    if (steps !== undefined && steps < highest ** 2) {
      throw new SubzeroError(
        'invalid_argument',
        `${steps} directions do not determine the ${highest ** 2} numbers of a subspace of rank ${highest}; ` +
          `give ${Math.ceil(directionsPerNumber * highest ** 2)} steps, or a lower rank`,
        { parameter: 'steps' },
      );
    }
    return atStages(cells, stages);
  },
  async measure(laboratory, cell) {
    const { request, signal } = laboratory;
    const [seed, rank] = [Number(cell.seed), Number(cell.rank)];
    const rows = await batchOf(request, seed, batchSize);
    const model = await modelAt(laboratory, cell);
    const count = request.steps ?? Math.ceil(directionsPerNumber * rank * rank);
    const place = { model, matrix: String(cell.matrix), rank, seed, rows };
    const { coefficients, explained, directions } = await projectedGradient(laboratory, place, count);
    if (signal.aborted) return { singularValues: [], explained, directions };
    return { singularValues: singularValues(coefficients, rank), explained, directions };
  },
  report(_, all) {
    const finished = all.filter(({ result }) => squaredNorm(result.singularValues) > 0);
    const flat = all.filter(({ result }) => squaredNorm(result.singularValues) === 0);
    const flatNames = [...new Set(flat.map(({ cell }) => shortName(String(cell.matrix))))];
    const flatText =
      flat.length === 0 ? '' : ` Left out, as these examples have no gradient there: ${flatNames.join(', ')}.`;
    const rows: string[][] = [];
    const series: Series[] = [];
    const quotients: { stage: string; quotient: number }[] = [];
    const undecided: string[] = [];
    for (const [rank, ofRank] of grouped(finished, (cell) => String(cell.rank))) {
      const unstructured = gaussianSpectra(Number(rank));
      const [expectedFirst, expectedStable] = [mean(unstructured.map(firstShare)), mean(unstructured.map(stableRank))];
      for (const own of grouped(ofRank, ({ matrix, stage }) => `${matrix} ${stage}`).values()) {
        const [{ cell }] = own as [Finished<Spectrum>];
        const matrix = String(cell.matrix);
        const spectra = own.map(({ result }) => result.singularValues);
        const stable = summary(spectra.map(stableRank));
        quotients.push({ stage: stageText(cell), quotient: stable.mean / expectedStable });
        if (!(stable.mean + stable.halfWidth95 < expectedStable)) undecided.push(shortName(matrix));
        rows.push([
          shortName(matrix),
          stageText(cell),
          rank,
          interval(summary(spectra.map(firstShare)), 3),
          expectedFirst.toFixed(3),
          interval(stable, 2),
          expectedStable.toFixed(2),
          mean(own.map(({ result }) => result.explained)).toFixed(4),
        ]);
        const kind = shortName(matrix).replace(/\.\d+\./, '.*.');
        if (series.length < 7 && !series.some(({ name }) => name === kind)) {
          series.push({ name: kind, points: cumulative(spectra) });
        }
      }
      if (series.length < 8) series.push({ name: `no structure, r = ${rank}`, points: cumulative(unstructured) });
    }
    const stages = [...new Set(quotients.map(({ stage }) => stage))];
    const ofStage = (stage: string): string =>
      spread(
        quotients.flatMap((each) => (each.stage === stage ? [each.quotient] : [])),
        2,
      );
    const drawnStage = stages.length > 1 ? `, after ${stages[0]} steps` : '';
    const texts = stages.map((stage) => `${ofStage(stage)}${stages.length > 1 ? ` after ${stage} steps` : ''}`);
    if (finished.length === 0) return { lead: `There is nothing to see.${flatText}`, sections: [] };
    return {
      lead:
        `${decisionText(undecided, quotients.length, finished)} Seen in a random subspace, a gradient's stable rank ` +
        `divided by that of a matrix without structure is ${texts.join(', ')}: medians over matrices, with the least ` +
        'and the most.',
      sections: [
        {
          title: 'Singular values in a random subspace',
          text: `The stable rank is the squared norm over the square of the largest singular value.${flatText}`,
          plot: {
            name: 'rank-spectrum.svg',
            describes: 'Share of the squared gradient in its first singular values, by kind of matrix',
            svg: plotSvg({
              title: `Squared gradient in the first k singular values (first layer${drawnStage})`,
              xTitle: 'singular values, k',
              yTitle: 'share of the squared gradient',
              yWithin: [0, 1],
              series,
            }),
          },
          table: {
            header: [
              'matrix',
              'at step',
              'r',
              'first share',
              'no structure',
              'stable rank',
              'no structure',
              'foretold of ρ²',
            ],
            rows,
          },
        },
      ],
    };
  },
});

/** Most names in a sentence. */
const namesShown = 4;

/** In how many cases the seeds tell that a gradient has structure, and in which they do not. */
function decisionText(undecided: readonly string[], cases: number, finished: readonly Finished<Spectrum>[]): string {
  if (new Set(finished.map(({ cell }) => cell.seed)).size < 2) return 'One seed does not tell whether ranks are low.';
  const names = [...new Set(undecided)];
  const more = names.length > namesShown ? ` and ${names.length - namesShown} more` : '';
  const except = names.length === 0 ? '' : `, but not in ${names.slice(0, namesShown).join(', ')}${more}`;
  const decided = `${cases - undecided.length} of ${cases} cases`;
  return `Gradients are of lower rank than without structure in ${decided}, beyond 95 % intervals${except}.`;
}

/** A matrix of a model and the subspace of a seed's first period, with the rows that the loss is of. */
export interface Place {
  model: string;
  matrix: string;
  rank: number;
  seed: number;
  rows: DataRow[];
}

/**
 * Uᵀ∇f V of a matrix, rank × rank, row by row, from so many derivatives along random directions, and which share of the
 * squares of some more it explains. An interrupted measurement has no coefficients.
 */
export async function projectedGradient(
  laboratory: Pick<Laboratory, 'engine' | 'signal'>,
  { model, matrix, rank, seed, rows }: Place,
  count: number,
): Promise<{ coefficients: Float64Array; explained: number; directions: number }> {
  const wanted = count + heldOut;
  const queries = Math.ceil(wanted / Math.ceil(wanted / mostQueries));
  // Only the seed decides where the subspace lies, and nothing ends its period.
  const configuration = {
    ...{ optimizer: 'subzero', seed, rank, normAlignment: false, parameters: [matrix], queries },
    ...{ refresh: 1_000_000, epsilon: 1e-2 },
  } satisfies Partial<TrainConfiguration>;
  const directions: Float64Array[] = [];
  const values: number[] = [];
  let step = 0;
  const steps = Math.ceil(wanted / queries);
  for await (const { projectedGradients } of derivatives(laboratory, { model, configuration, rows }, steps)) {
    for (const [query, value] of projectedGradients.entries()) {
      const draw = { tensor: tensorId(matrix), step, purpose: purposes.dense, query };
      directions.push(Float64Array.from(gaussian(seed, draw, rank * rank)));
      values.push(value);
    }
    step++;
  }
  if (laboratory.signal.aborted) {
    return { coefficients: new Float64Array(), explained: Number.NaN, directions: values.length };
  }
  const fitted = values.length - heldOut;
  const { coefficients } = leastSquares(directions.slice(0, fitted), values.slice(0, fitted));
  const others = values.slice(fitted);
  const missed = mean(others.map((value, k) => (value - product(directions[fitted + k]!, coefficients)) ** 2));
  return {
    coefficients,
    explained: 1 - missed / mean(others.map((value) => value * value)),
    directions: values.length,
  };
}

/** Singular values of a square matrix that is stored row by row, descending. */
export function singularValues(matrix: ArrayLike<number>, size: number): number[] {
  const left = Array.from({ length: size }, (_, column) =>
    Float64Array.from({ length: size }, (__, row) => matrix[row * size + column]!),
  );
  const right = left.map((_, column) => Float64Array.from({ length: size }, (__, row) => (row === column ? 1 : 0)));
  // Each factor carries the square root of a singular value.
  return nearestOfRank({ left, right }, size).left.map((column) => product(column, column));
}

function squaredNorm(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}

function firstShare(values: readonly number[]): number {
  return values[0]! ** 2 / squaredNorm(values);
}

function stableRank(values: readonly number[]): number {
  return 1 / firstShare(values);
}

/** Mean shares of the first k squares, with intervals. */
function cumulative(spectra: readonly (readonly number[])[]): PlotPoint[] {
  const longest = Math.max(...spectra.map(({ length }) => length));
  return Array.from({ length: longest }, (_, index) => {
    const shares = spectra.map((values) => squaredNorm(values.slice(0, index + 1)) / squaredNorm(values));
    return pointOf(index + 1, summary(shares));
  });
}

/** Singular values of Gaussian matrices, for comparison. */
function gaussianSpectra(rank: number): number[][] {
  return Array.from({ length: 50 }, (_, draw) =>
    singularValues(gaussian(0, { tensor: draw, step: 0, purpose: purposes.dense, query: 0 }, rank * rank), rank),
  );
}
