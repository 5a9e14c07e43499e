/**
 * Limits on what a template may make in memory. A rendering is synchronous and alone in its thread, so one setting for
 * the module is enough.
 *
 * @module
 */

import { OutputTooLong, TemplateRuntimeError } from './errors.ts';

/** As Jinja's sandbox has it. */
export const maxRange = 100_000;
const maxItems = 1_000_000;
/** Bits of a whole number: far beyond what a template counts. */
const maxBits = 100_000;

let maxLength = Number.POSITIVE_INFINITY;

/** @param length UTF-16 units of any one text */
export function setMaxLength(length: number): void {
  maxLength = length;
}

/** @throws OutputTooLong if a text of this many UTF-16 units is too long */
export function checkLength(length: number): void {
  if (length > maxLength) throw new OutputTooLong(length);
}

/** @throws TemplateRuntimeError if a list of this many items is too long */
export function checkItems(count: number): void {
  if (count > maxItems) throw new TemplateRuntimeError('MemoryError', `a list of more than ${maxItems} items`);
}

/** @throws TemplateRuntimeError if a whole number of this many bits is too large */
export function checkBits(count: number): void {
  if (count > maxBits) throw new TemplateRuntimeError('OverflowError', `a whole number of more than ${maxBits} bits`);
}

/** Joins texts, checking the length before the whole is made. */
export function joinChecked(parts: Iterable<string>, separator = ''): string {
  const list: string[] = [];
  let length = 0;
  for (const part of parts) {
    length += part.length + (list.length > 0 ? separator.length : 0);
    checkLength(length);
    list.push(part);
  }
  return list.join(separator);
}
