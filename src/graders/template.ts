/**
 * Texts with places for parts of an item and a sample: `{{item.answer}}`, `{{ sample.output_text }}`.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { GraderFailure } from './failure.ts';

/** What is graded: a row of a data set, and what a model made of it. */
export interface GradedSample {
  item: unknown;
  /** Absent where nothing was made of the row: graders of the row alone have a verdict all the same. */
  outputText: string | undefined;
}

/** Bounds a filled template: a small template can name a large text many times. */
const mostCharacters = 1_000_000;

const place = /\{\{([^{}]*)\}\}/g;
/** `item.answers[0].text`, or with a dot before the number. */
const pathForm = /^(item|sample)((?:\.[^.[\]\s]+|\[\d+\])*)$/;
const sampleFields = ['output_text', 'output_json'];

/** The names in a template. @throws SubzeroError `invalid_argument` for places that cannot mean anything */
export function checkTemplate(template: string, where: string): void {
  for (const [shown, inner] of template.matchAll(place)) parsePath(inner!.trim(), shown, where);
}

function parsePath(path: string, shown: string, where: string): string[] {
  const match = pathForm.exec(path);
  const steps = [...(match?.[2] ?? '').matchAll(/\.([^.[\]\s]+)|\[(\d+)\]/g)].map(([, name, index]) => name ?? index!);
  if (match?.[1] === 'item') return ['item', ...steps];
  if (match && sampleFields.includes(steps[0] ?? '') && (steps.length === 1 || steps[0] === 'output_json')) {
    return ['sample', ...steps];
  }
  throw new SubzeroError(
    'invalid_argument',
    `${where}: ${shown} is unknown; expected {{item.NAME}}, ` +
      `${sampleFields.map((name) => `{{sample.${name}}}`).join(' or ')}`,
    { parameter: where },
  );
}

/**
 * The text with its places filled; what is no text stands as JSON.
 * @throws GraderFailure where item or sample have no such part
 */
export function fillTemplate(template: string, sample: GradedSample): string {
  let length = template.length;
  return template.replace(place, (shown: string, inner: string) => {
    const value = valueAt(parsePath(inner.trim(), shown, 'template'), sample, shown);
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    length += text.length;
    if (length > mostCharacters) {
      throw new GraderFailure('other_error', `a filled template has more than ${mostCharacters} characters`);
    }
    return text;
  });
}

function valueAt([root, ...steps]: readonly string[], { item, outputText }: GradedSample, shown: string): unknown {
  const [field, ...inner] = steps;
  const isParsed = root === 'sample' && field === 'output_json' && outputText !== undefined;
  let value: unknown = root === 'item' ? item : isParsed ? parsedOutput(outputText) : outputText;
  for (const step of root === 'item' ? steps : inner) {
    const holder = typeof value === 'object' && value !== null ? value : {};
    value = Object.hasOwn(holder, step) ? (holder as Record<string, unknown>)[step] : undefined;
  }
  if (value === undefined) throw new GraderFailure('invalid_variable_error', `there is no ${shown} in what is graded`);
  return value;
}

/** The JSON that a sample is. @throws GraderFailure `sample_parse_error` */
export function parsedOutput(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new GraderFailure('sample_parse_error', `the sample is not JSON: ${(error as Error).message}`);
  }
}
