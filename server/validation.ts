/**
 * The answer to a request that does not fit its schema: the first problem, with the field, what was expected and what came.
 *
 * @module
 */

import type { ZodError } from 'zod';
import { type ApiError, invalid } from './errors.ts';

const shownLength = 80;

type Issue = ZodError['issues'][number];

export function validationError(error: ZodError, input: unknown): ApiError {
  const issue = deepest(error.issues[0]!);
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    const name = [...path, issue.keys[0]!.slice(0, shownLength)].join('.');
    return invalid(`Unknown field "${name}".`, name, 'unknown_field');
  }
  const name = path.join('.') || null;
  const value = issue.path.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined),
    input,
  );
  if (value === undefined && issue.code.startsWith('invalid_')) {
    return invalid(name ? `"${name}" is required.` : 'A JSON object is required as body.', name, 'missing_field');
  }
  const shown = show(value);
  return invalid(`${name ? `"${name}"` : 'The request'} is invalid: ${issue.message}${shown}.`, name, 'invalid_value');
}

/** Inside a union, the branch that came furthest tells more than "invalid input", unless the union has words of its own. */
function deepest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union' || issue.message !== 'Invalid input') return issue;
  const inner = issue.errors.flat().sort((a, b) => b.path.length - a.path.length)[0];
  return inner ? deepest({ ...inner, path: [...issue.path, ...inner.path] } as Issue) : issue;
}

function show(value: unknown): string {
  if (value === undefined) return '';
  const text = JSON.stringify(value) ?? String(value);
  return ` (got ${text.length > shownLength ? `${text.slice(0, shownLength)}…` : text})`;
}
