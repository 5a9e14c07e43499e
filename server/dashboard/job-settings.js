/**
 * The settings of a job, in words.
 *
 * @module
 */

import { formatBytes } from './page.js';

/**
 * What a job was given: its grader if it has one, then its hyperparameters.
 * @param {any} job as the service tells it
 * @returns {[name: string, text: string][]}
 */
export function settingsOf({ method }) {
  const { grader, hyperparameters } = method[method.type];
  const graded = grader ? { grader: [grader.name, grader.type].filter(Boolean).join(', ') } : {};
  return Object.entries({ ...graded, ...hyperparameters }).map(([name, value]) => [name, textOf(name, value)]);
}

/** @param {string} name @param {unknown} value */
function textOf(name, value) {
  if (name === 'memory') return Number(value) > 0 ? formatBytes(Number(value)) : 'no limit';
  const text = Array.isArray(value) ? value.join(', ') : String(value ?? '');
  return text === '' ? '–' : text;
}
