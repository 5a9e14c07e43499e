/**
 * The answer to a request that does not fit its schema: the first problem, with the field, what was expected and what
 * came.
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
  const reason = bound(error, issue) ?? issue.message.replace(/^Invalid input: /, '');
  return invalid(`${name ? `"${name}"` : 'The request'} is invalid: ${reason}${shown}.`, name, 'invalid_value');
}

const boundWords = { too_big: ['less than', 'at most'], too_small: ['more than', 'at least'] } as const;

/**
 * A number beyond its bounds may break several of them (of its type and its own); the tightest is the one to keep to.
 */
function bound(error: ZodError, issue: Issue): string | undefined {
  const { code } = issue;
  if ((code !== 'too_big' && code !== 'too_small') || (issue.origin !== 'number' && issue.origin !== 'int'))
    return undefined;
  const limits = [issue, ...error.issues].flatMap((other) => {
    if (String(other.path) !== String(issue.path)) return [];
    if (code === 'too_big') return other.code === code ? [Number(other.maximum)] : [];
    return other.code === code ? [Number(other.minimum)] : [];
  });
  const tightest = code === 'too_big' ? Math.min(...limits) : Math.max(...limits);
  return `must be ${boundWords[code][issue.inclusive ? 1 : 0]} ${tightest}`;
}

/**
 * Inside a union, the branch that came furthest tells more than "invalid input", unless the union has words of its own.
 * Where all branches refuse the value itself, such as a number or "auto", all that they expect is told.
 */
function deepest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union' || issue.message !== 'Invalid input') return issue;
  const all = issue.errors.flat();
  const expected = all.flatMap((each) => (each.path.length === 0 ? expectedBy(each as Issue) : []));
  if (expected.length === all.length && expected.length > 1) {
    return { ...issue, code: 'custom', message: `expected ${[...new Set(expected)].join(' or ')}` } as Issue;
  }
  const inner = all.sort((a, b) => b.path.length - a.path.length)[0];
  return inner ? deepest({ ...inner, path: [...issue.path, ...inner.path] } as Issue) : issue;
}

/** What a branch of a union wants instead of the value, in words. */
function expectedBy(issue: Issue): string[] {
  if (issue.code === 'invalid_value') return issue.values.map((value) => JSON.stringify(value));
  if (issue.code === 'invalid_type') return [issue.expected === 'int' ? 'a whole number' : `a ${issue.expected}`];
  return [];
}

function show(value: unknown): string {
  if (value === undefined) return '';
  const text = JSON.stringify(value) ?? String(value);
  return ` (got ${text.length > shownLength ? `${text.slice(0, shownLength)}…` : text})`;
}
