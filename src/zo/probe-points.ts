/**
 * The points that a step looks at, and what their losses say.
 *
 * @module
 */

import type { ProbePoint } from '../ops/probes.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { type MeasuredField, methods, type RecordSettings, recordedBy } from '../settings/methods.ts';
import type { Measurement } from './optimizer.ts';

type Settings = Pick<TrainConfiguration, 'optimizer' | 'epsilon' | 'queries' | 'sides'>;

/** Whether the unperturbed parameters are among the points; they are the first then. */
function looksAtCentre({ optimizer, sides }: Settings): boolean {
  return sides === 1 || methods[optimizer].centre === true;
}

/** All points of a step: the unperturbed one where the method needs it, then +ε and, two-sided, −ε of each query. */
export function probePoints(settings: Settings): ProbePoint[] {
  const points: ProbePoint[] = looksAtCentre(settings) ? [{ scale: 0, query: 0 }] : [];
  for (let query = 0; query < settings.queries; query++) {
    points.push({ scale: settings.epsilon, query });
    if (settings.sides === 2) points.push({ scale: -settings.epsilon, query });
  }
  return points;
}

/** The points as kernels read them: (scale as f32 bits, query) each. */
export function probeTable(points: readonly ProbePoint[]): Uint32Array {
  const table = new Uint32Array(points.length * 2);
  const scales = new Float32Array(table.buffer);
  for (const [index, { scale, query }] of points.entries()) {
    scales[index * 2] = scale;
    table[index * 2 + 1] = query;
  }
  return table;
}

/** Numbers that the journal keeps of each query: ρ, and what else the optimiser records. */
export function valuesPerQuery(settings: RecordSettings): number {
  return 1 + recordedBy(settings).length;
}

/**
 * ρ per query from the losses of the points: (ℓ₊ − ℓ₋)/2ε, or one-sided (ℓ₊ − ℓ₀)/ε; for HiZOO the curvature term
 * |ℓ₊ + ℓ₋ − 2ℓ₀|/2ε² as well. Differences are taken in f64 and rounded to the f32 that the journal keeps.
 * @param losses in the order of {@link probePoints}
 */
export function measure(losses: readonly number[], settings: Settings): Measurement {
  const { epsilon, queries, sides } = settings;
  const first = looksAtCentre(settings) ? 1 : 0;
  const perQuery = <T>(value: (plus: number, minus: number) => T): T[] =>
    Array.from({ length: queries }, (_, query) => {
      const index = first + query * sides;
      return value(losses[index]!, losses[index + 1]!);
    });
  const projectedGradients = perQuery((plus, minus) =>
    Math.fround(sides === 2 ? (plus - minus) / (2 * epsilon) : (plus - losses[0]!) / epsilon),
  );
  const { records = [] } = methods[settings.optimizer];
  const recorded = records.map((field) => [
    field,
    perQuery((plus, minus) => Math.fround(measures[field]({ plus, minus, centre: losses[0]!, epsilon }))),
  ]);
  return { projectedGradients, ...Object.fromEntries(recorded) };
}

/** What is measured of a query besides ρ. */
const measures: Readonly<
  Record<MeasuredField, (of: { plus: number; minus: number; centre: number; epsilon: number }) => number>
> = {
  curvatures: ({ plus, minus, centre, epsilon }) => Math.abs(plus + minus - 2 * centre) / (2 * epsilon * epsilon),
};
