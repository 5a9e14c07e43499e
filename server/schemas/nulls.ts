/**
 * `null` in a request means that the field is absent, at every depth: clients of typed languages write all fields they
 * know.
 *
 * @module
 */

import { invalid } from '../errors.ts';

/**
 * Fields whose content is not for this server to interpret: rows of data, whose reader has rules of its own, and what a
 * chat template is to see as it came.
 */
const keptAsTheyCame: ReadonlySet<string> = new Set(['data', 'tools', 'arguments', 'chat_template_kwargs']);

/** Deeper bodies are made to exhaust a stack: nothing that this server takes needs more than ten levels of its own. */
const maxDepth = 256;

/**
 * Removes, in place, the fields of objects that are `null`. Items of arrays stay.
 * @param body parsed JSON
 * @throws ApiError 400 for a body that is nested too deeply
 */
export function dropNulls(body: unknown): void {
  walk(body, false);
}

/** @throws ApiError 400 for parsed JSON that is nested too deeply */
export function checkDepth(value: unknown): void {
  walk(value, true);
}

/** @param keepsAll whether all nulls stay */
function walk(body: unknown, keepsAll: boolean): void {
  // Level by level, because a recursion would be at the mercy of the body.
  let level = [{ value: body, isKept: keepsAll }];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maxDepth) throw invalid(`The body is nested more than ${maxDepth} levels deep.`, null, 'invalid_json');
    const below: typeof level = [];
    for (const { value, isKept } of level) {
      if (Array.isArray(value)) {
        for (const item of value) if (isObject(item)) below.push({ value: item, isKept });
      } else if (isObject(value)) {
        for (const [name, field] of Object.entries(value)) {
          if (field === null && !isKept) delete value[name];
          else if (isObject(field)) below.push({ value: field, isKept: isKept || keptAsTheyCame.has(name) });
        }
      }
    }
    level = below;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
