/**
 * Arguments of a call to the parameters of a function.
 *
 * @module
 */

import { typeError } from './errors.ts';
import type { Keywords, Value } from './values.ts';

/**
 * One value for each parameter, by position or by name; undefined where none is given.
 * @param required how many of the parameters must be given
 */
export function bind(
  name: string,
  parameters: readonly string[],
  positional: readonly Value[],
  keywords: Keywords,
  required = 0,
): (Value | undefined)[] {
  if (positional.length > parameters.length) {
    throw typeError(`${name}() takes at most ${parameters.length} arguments (${positional.length} given)`);
  }
  const values: (Value | undefined)[] = parameters.map((_, index) => positional[index]);
  for (const [keyword, value] of keywords) {
    const index = parameters.indexOf(keyword);
    if (index === -1) throw typeError(`${name}() got an unexpected keyword argument '${keyword}'`);
    if (values[index] !== undefined) throw typeError(`${name}() got multiple values for argument '${keyword}'`);
    values[index] = value;
  }
  for (let i = 0; i < required; i++) {
    if (values[i] === undefined) throw typeError(`${name}() missing required argument: '${parameters[i]}'`);
  }
  return values;
}

/** As {@link bind}, of a function that takes no arguments by name. */
export function bindPositional(
  name: string,
  least: number,
  most: number,
  positional: readonly Value[],
  keywords: Keywords,
): (Value | undefined)[] {
  if (keywords.size > 0) throw typeError(`${name}() takes no keyword arguments`);
  if (positional.length < least || positional.length > most) {
    const expected = least === most ? `${least}` : `from ${least} to ${most}`;
    throw typeError(`${name}() takes ${expected} arguments (${positional.length} given)`);
  }
  return Array.from({ length: most }, (_, index) => positional[index]);
}
