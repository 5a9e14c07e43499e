/**
 * Functions from docstrings: rows of prompt, completion, the function's name and its tests, which the sandbox of the
 * graders runs.
 *
 * @module
 */

import { loadDataset } from '../data/load.ts';
import type { DataSource } from '../data/source.ts';
import { SubzeroError } from '../errors.ts';
import { type Grader, grade, parseGrader } from '../graders/index.ts';

/** A row of a code task, beside prompt and completion. */
interface Tested {
  prompt: string;
  completion: string;
  /** What the prompt calls the function that it begins. */
  name: string;
  /** Arguments, and what the function must return for them. */
  tests: [unknown[], unknown][];
}

/** Prompt and answer together are a program; the reward is the share of tests that its function passes. */
const grader = {
  type: 'javascript',
  name: 'tests',
  source: `
const show = JSON.stringify;
function grade(sample, item) {
  let made;
  try {
    made = new Function(item.prompt + sample.output_text + '\\nreturn ' + item.name + ';')();
  } catch {
    return 0;
  }
  let passed = 0;
  for (const [given, expected] of item.tests) {
    try {
      if (show(made(...given)) === show(expected)) passed++;
    } catch {}
  }
  return passed / item.tests.length;
}`,
} as const;

let parsed: Promise<Grader> | undefined;

/** The share of a row's tests that an answer passes; 0 for one that is no program or does not end. */
export async function passedTests(answer: string, item: Readonly<Record<string, unknown>>): Promise<number> {
  parsed ??= parseGrader(grader);
  return (await grade(await parsed, { outputText: answer, item })).reward;
}

/** Whether rows are those of a code task. */
export function isTested(row: Readonly<Record<string, unknown>>): boolean {
  return 'tests' in row;
}

/**
 * The rows of a split.
 * @throws SubzeroError `invalid_data` for one without prompt, completion, name and tests
 */
export async function testedRows(data: DataSource, split: 'train' | 'evaluation', limit?: number): Promise<Tested[]> {
  const { examples } = await loadDataset(data, { split, withItems: true, ...(limit === undefined ? {} : { limit }) });
  return examples.map(({ item, source }) => {
    const { prompt, completion, name, tests } = item ?? {};
    const texts = [prompt, completion, name].every((text) => typeof text === 'string');
    const pairs = Array.isArray(tests) && tests.length > 0;
    if (texts && pairs && tests.every((test) => Array.isArray(test) && test.length === 2 && Array.isArray(test[0]))) {
      return item as unknown as Tested;
    }
    throw new SubzeroError(
      'invalid_data',
      `${source}: a row of a code task has "prompt", "completion", "name" and "tests": [[[argument, …], result], …]`,
      { parameter: 'data' },
    );
  });
}

/** Bodies to choose from, the right one among them. */
const choices = 4;

/**
 * Which of four bodies passes the tests: the row's own and three of other rows that fail them, as rows with options.
 * @throws SubzeroError `invalid_data` where a row's own completion fails its tests
 */
export async function choiceRows(rows: readonly Tested[]): Promise<Record<string, unknown>[]> {
  const made: Record<string, unknown>[] = [];
  for (const [index, row] of rows.entries()) {
    const { prompt, completion, name } = row;
    const item = row as unknown as Record<string, unknown>;
    if ((await passedTests(completion, item)) !== 1) {
      const problem = `the completion of the function "${name}" does not pass the tests of its own row`;
      throw new SubzeroError('invalid_data', problem, { parameter: 'data' });
    }
    const wrong: string[] = [];
    for (let step = 1; step < rows.length && wrong.length < choices - 1; step++) {
      const other = rows[(index + step) % rows.length]!.completion;
      if (!wrong.includes(other) && (await passedTests(other, item)) < 1) wrong.push(other);
    }
    const label = index % (wrong.length + 1);
    if (wrong.length > 0) made.push({ prompt, options: wrong.toSpliced(label, 0, completion), label });
  }
  return made;
}
