/**
 * `bench fidelity`: how well an estimate of the gradient from two losses fits the true gradient, against what theory
 * says, for SubZero with and without norm alignment and for MeZO. The true gradient of one batch is that of
 * test/reference/fidelity.py.
 *
 * Notation (docs/method.md): ĝ = ρ·Az, z the Gaussian coefficients of a draw, A = bdiag(μᵢ Vᵢ ⊗ Uᵢ, I) over all
 * tensors, a = Aᵀ∇f. MeZO has A = I. For the derivative along a direction, E[ρz] = a, hence E[ĝ] = Aa, E‖ĝ‖² = 2‖Aa‖² +
 * tr(AᵀA)‖a‖², and cos²(ρz, a) is 1/q on average, q being the number of coefficients.
 *
 * @module
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { TokenizedExample } from '../src/data/example.ts';
import { SubzeroError } from '../src/errors.ts';
import { Gpu } from '../src/gpu/gpu.ts';
import { loadModel } from '../src/model/load.ts';
import { batchLoss } from '../src/objectives/loss.ts';
import { gaussian, purposes, tensorId } from '../src/random/philox.ts';
import { resolveConfiguration, type TrainConfiguration } from '../src/settings/configuration.ts';
import { short, table } from '../src/table.ts';
import { Scorer } from '../src/train/score.ts';
import { createOptimizer } from '../src/zo/create-optimizer.ts';
import { Mean } from '../test/support/zo/mean.ts';
import { deviceOf } from './device.ts';

export const usage = `npm run bench -- fidelity [options]
  --draws N            directions per method (default 192; MeZO at most as many as the reference has)
  --adapter NAME       part of the adapter's name, or its index
  --json FILE          write the figures
Exit code 1 when theory lies outside an interval of 99.9 % confidence.`;

/** Standard errors to either side of a mean: 99.9 % of a normal distribution. */
const sigmas = 3.2905;

/** What test/reference/fidelity.py wrote. */
export interface Reference {
  settings: { model: string; seed: number; rank: number };
  examples: { prompt: number[]; options: number[][]; label: number }[];
  loss: number;
  /** Values of MeZO's draws at step 0, 1, …: zᵀ∇f and ‖z‖². */
  dense: { along_gradient: number[]; squared_norm: number[] };
  /** `projected`: UᵀGV, row by row, or the gradient of a 1-D parameter itself. */
  tensors: { name: string; shape: number[]; squared_norm: number; projected: number[] }[];
}

/** What theory needs to know of a method. */
export interface Geometry {
  /** Coefficients drawn. */
  q: number;
  /** tr(AᵀA) = E‖Az‖². */
  trace: number;
  /** ‖a‖² and ‖Aa‖². */
  squaredGradient: number;
  squaredMean: number;
  /** How many draws there are. */
  draws: number;
  /** zᵀa, ‖z‖² and ‖Az‖² of the draw of a step. */
  draw(step: number): { along: number; squaredNoise: number; squaredDirection: number };
}

/** A mean with its interval, beside what it should be. */
interface Figure {
  name: string;
  measured: number;
  halfWidth: number;
  theory: number;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const squareOf = (values: Iterable<number>): number => {
  let total = 0;
  for (const value of values) total += value * value;
  return total;
};

export async function benchFidelity(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      draws: { type: 'string', default: '192' },
      adapter: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const draws = Number(values.draws);
  if (!Number.isInteger(draws) || draws < 2) {
    throw new SubzeroError('invalid_argument', `--draws must be a whole number from 2; got ${values.draws}`);
  }
  const reference = readReference();
  const gpu = await Gpu.open(deviceOf(values));
  const results = [];
  for (const { title, settings, geometry } of methodsOf(reference)) {
    const count = Math.min(draws, geometry.draws);
    console.error(`${title}: ${count} draws`);
    const { rhos, loss } = await measureRhos(gpu, reference, settings, count);
    if (!(Math.abs(loss - reference.loss) < 1e-5)) {
      throw new Error(`the loss of the batch is ${loss}; in the reference it is ${reference.loss}`);
    }
    results.push({ title, draws: count, ...compare(geometry, rhos) });
  }
  const [projected, , mezo] = results as [(typeof results)[0], unknown, (typeof results)[0]];
  const variance = ratio('variance / ‖mean‖², MeZO over SubZero μ = 1', mezo.variance, projected.variance);
  console.log(
    `${gpu.adapter.description || gpu.adapter.device}\n${reference.settings.model}, ${reference.examples.length} ` +
      `sentences of SST-2`,
  );
  for (const { title, draws, figures, error } of results) {
    console.log(`\n${title}, ${draws} draws; ρ is off the derivative by ${short(error)} of its size`);
    console.log(figureTable(figures));
  }
  console.log(`\n${figureTable([variance])}`);
  const figures = [...results.flatMap(({ figures }) => figures), variance];
  const outside = figures.filter(({ measured, halfWidth, theory }) => !(Math.abs(measured - theory) <= halfWidth));
  for (const { name, theory } of outside) console.error(`outside its interval: ${name}, theory ${theory}`);
  if (values.json) {
    const output = { adapter: gpu.adapter.description, reference: reference.settings, sigmas, results, variance };
    writeFileSync(values.json, `${JSON.stringify(output, null, 2)}\n`);
  }
  gpu.close();
  return outside.length > 0 ? 1 : 0;
}

/** The numbers of test/reference/fidelity.py. */
export function readReference(): Reference {
  const file = new URL('../test/fixtures/golden/fidelity.json', import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as Reference;
}

/** What is compared, with the settings that the reference's random numbers ask for. */
export function methodsOf(
  reference: Reference,
): { title: string; settings: Partial<TrainConfiguration>; geometry: Geometry }[] {
  const { seed, rank } = reference.settings;
  return [
    {
      title: `SubZero, rank ${rank}, μ = 1`,
      // With ε as below the step would be far smaller, and drown in the rounding of the losses.
      settings: { seed, rank, normAlignment: false, epsilon: 5e-3 },
      geometry: subspace(reference, false),
    },
    {
      title: `SubZero, rank ${rank}, μ = √(mn)/r`,
      settings: { seed, rank, epsilon: 1e-3 },
      geometry: subspace(reference, true),
    },
    { title: 'MeZO', settings: { seed, optimizer: 'mezo', epsilon: 1e-3 }, geometry: fullSpace(reference) },
  ];
}

/** SubZero's coefficients: every S, and the 1-D parameters as they are. */
function subspace({ settings, tensors }: Reference, normAlignment: boolean): Geometry {
  const parts = tensors.map(({ name, shape, projected }) => {
    const scale = shape.length === 2 && normAlignment ? Math.sqrt((shape[0]! * shape[1]!) / projected.length) : 1;
    return { tensor: tensorId(name), scale, gradient: projected.map((value) => scale * value) };
  });
  return {
    q: sum(parts.map(({ gradient }) => gradient.length)),
    trace: sum(parts.map(({ scale, gradient }) => scale * scale * gradient.length)),
    squaredGradient: sum(parts.map(({ gradient }) => squareOf(gradient))),
    squaredMean: sum(parts.map(({ scale, gradient }) => scale * scale * squareOf(gradient))),
    draws: Number.POSITIVE_INFINITY,
    draw: (step) => {
      let [along, squaredNoise, squaredDirection] = [0, 0, 0];
      for (const { tensor, scale, gradient } of parts) {
        const z = gaussian(settings.seed, { tensor, step, purpose: purposes.dense, query: 0 }, gradient.length);
        const square = squareOf(z);
        for (const [index, value] of gradient.entries()) along += z[index]! * value;
        squaredNoise += square;
        squaredDirection += scale * scale * square;
      }
      return { along, squaredNoise, squaredDirection };
    },
  };
}

/** MeZO's coefficients: all parameters. */
function fullSpace({ tensors, dense }: Reference): Geometry {
  const parameters = sum(tensors.map(({ shape }) => shape.reduce((product, side) => product * side, 1)));
  const squaredGradient = sum(tensors.map(({ squared_norm }) => squared_norm));
  return {
    q: parameters,
    trace: parameters,
    squaredGradient,
    squaredMean: squaredGradient,
    draws: dense.squared_norm.length,
    draw: (step) => {
      const square = dense.squared_norm[step]!;
      return { along: dense.along_gradient[step]!, squaredNoise: square, squaredDirection: square };
    },
  };
}

/** ρ of the draws of steps 0, 1, … around the model as loaded, and the loss there. */
export async function measureRhos(
  gpu: Gpu,
  { settings: { model: name }, examples }: Reference,
  settings: Partial<TrainConfiguration>,
  draws: number,
): Promise<{ rhos: number[]; loss: number }> {
  const configuration = resolveConfiguration({ ...settings, refresh: draws });
  const model = await loadModel(gpu, fileURLToPath(new URL(`../examples/${name}`, import.meta.url)), {
    storage: 'f32',
  });
  const optimizer = await createOptimizer(model, configuration);
  const scorer = new Scorer(model, configuration.maxRows);
  const batch = examples.map(
    ({ prompt, options, label }): TokenizedExample => ({
      kind: 'options',
      prompt,
      continuations: options.map((ids) => ({ ids, scored: ids.length })),
      label,
    }),
  );
  try {
    const loss = batchLoss(batch, (await scorer.score(batch, model.plainProbes))[0]!).loss;
    optimizer.beginStep(0);
    const rhos: number[] = [];
    for (let step = 0; step < draws; step++) {
      const scores = await scorer.scoreStep(batch, optimizer, step);
      rhos.push(
        optimizer.measure(
          scores.map((list) => batchLoss(batch, list).loss),
          step,
        ).projectedGradients[0]!,
      );
    }
    return { rhos, loss };
  } finally {
    scorer.destroy();
    optimizer.destroy();
    model.destroy();
  }
}

/** Means over the draws against theory; the relative variance of the estimate; and how far ρ is from the derivative. */
function compare(geometry: Geometry, rhos: readonly number[]): { figures: Figure[]; variance: Figure; error: number } {
  const { q, trace, squaredGradient, squaredMean } = geometry;
  const [slope, square, cosine, second] = [new Mean(), new Mean(), new Mean(), new Mean()];
  let differences = 0;
  for (const [step, rho] of rhos.entries()) {
    const { along, squaredNoise, squaredDirection } = geometry.draw(step);
    slope.add((rho * along) / squaredGradient);
    square.add((rho * rho) / squaredGradient);
    cosine.add((along * along) / (squaredNoise * squaredGradient));
    second.add(rho * rho * squaredDirection);
    differences += (rho - along) ** 2;
  }
  const secondTheory = 2 * squaredMean + trace * squaredGradient;
  const variance: Figure = {
    name: 'variance / ‖mean‖²',
    measured: second.value / squaredMean - 1,
    halfWidth: (sigmas * second.error) / squaredMean,
    theory: secondTheory / squaredMean - 1,
  };
  return {
    figures: [
      figure('E[ρ zᵀa] / ‖a‖²', slope, 1),
      figure('E[ρ²] / ‖a‖²', square, 1),
      figure('cos²(ρz, a)', cosine, 1 / q),
      figure('E‖ĝ‖²', second, secondTheory),
      variance,
    ],
    variance,
    error: Math.sqrt(differences / squareOf(rhos)),
  };
}

function figure(name: string, mean: Mean, theory: number): Figure {
  return { name, measured: mean.value, halfWidth: sigmas * mean.error, theory };
}

/** The quotient of two independent figures; their relative errors add in squares. */
function ratio(name: string, over: Figure, under: Figure): Figure {
  const measured = over.measured / under.measured;
  const relative = Math.hypot(over.halfWidth / over.measured, under.halfWidth / under.measured);
  return { name, measured, halfWidth: measured * relative, theory: over.theory / under.theory };
}

function figureTable(figures: readonly Figure[]): string {
  return table(
    ['figure', 'measured', '±', 'theory'],
    figures.map(({ name, measured, halfWidth, theory }) => [name, measured, halfWidth, theory].map(cell)),
  );
}

const cell = (value: string | number): string => (typeof value === 'number' ? digits(value) : value);

/** Four significant digits. */
function digits(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(3) : String(Number(value.toPrecision(4)));
}
