/**
 * Graders in requests.
 *
 * @module
 */

import { SubzeroError } from '../../src/errors.ts';
import { type Grader, parseGrader } from '../../src/graders/index.ts';

/**
 * Checks a grader of a request.
 * @param path where it stands
 * @throws SubzeroError whose parameter is the field as the request has it
 */
export async function readGrader(description: Record<string, unknown>, path: string): Promise<Grader> {
  try {
    return await parseGrader(description);
  } catch (error) {
    if (!(error instanceof SubzeroError)) throw error;
    throw new SubzeroError(error.code, `${path}.${error.message}`, { parameter: `${path}.${error.parameter}` });
  }
}
