/**
 * A run as lines of JSON, one for each step: what was applied, with the seed that it belongs to.
 *
 * @module
 */

import type { AppliedUpdate } from '../../src/engine/types.ts';
import { invalid } from '../errors.ts';
import { dropNulls } from '../schemas/nulls.ts';
import { trajectoryLine } from '../schemas/runs.ts';
import { validationError } from '../validation.ts';

export function writeTrajectory(records: readonly AppliedUpdate[], seed: number): string {
  return records
    .map(({ step, learningRate, projectedGradients, curvatures }) => {
      const line = { step, seed, learning_rate: learningRate, projected_gradients: projectedGradients };
      return `${JSON.stringify({ ...line, ...(curvatures ? { curvatures } : {}) })}\n`;
    })
    .join('');
}

/** @throws ApiError 400 that names the line */
export function readTrajectory(text: string, seed: number): AppliedUpdate[] {
  const records = text
    .split('\n')
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line.trim() !== '')
    .map(({ line, number }) => readLine(line, number, seed));
  if (records.length === 0) throw invalid('The trajectory has no lines.', 'trajectory');
  return records;
}

function readLine(text: string, number: number, seed: number): AppliedUpdate {
  const refuse = (reason: string) => invalid(`Line ${number} of the trajectory: ${reason}`, 'trajectory');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refuse(`not valid JSON: ${String((error as Error).message).slice(0, 300)}.`);
  }
  dropNulls(value);
  const parsed = trajectoryLine.safeParse(value);
  if (!parsed.success) throw refuse(validationError(parsed.error, value).message);
  const {
    step,
    seed: own,
    learning_rate: learningRate,
    projected_gradients: projectedGradients,
    curvatures,
  } = parsed.data;
  if (own !== undefined && own !== seed) {
    throw refuse(`its seed is ${own}, that of this run ${seed}: it would go in other directions.`);
  }
  return { step, learningRate, projectedGradients, ...(curvatures ? { curvatures } : {}) };
}
