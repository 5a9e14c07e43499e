/**
 * What is wrong with a JSON Schema that a grader validates answers against. The validator takes every schema and
 * answers "invalid" where one is malformed, so that each answer would count as 0.
 *
 * @module
 */

const types = ['null', 'boolean', 'object', 'array', 'number', 'string', 'integer'];

/** Keywords whose values are schemas by names, lists of schemas, one schema, and those whose values are data. */
const schemaMaps = ['properties', '$defs', 'definitions', 'dependentSchemas', 'dependencies'];
const schemaLists = ['allOf', 'anyOf', 'oneOf', 'prefixItems'];
const dataKeywords = ['const', 'enum', 'default', 'examples'];
const patternKeywords = ['pattern', 'patternProperties'];

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A keyword of a schema, or of one within it, that is a regular expression. */
export function patternIn(schema: unknown): string | undefined {
  if (typeof schema !== 'object' || schema === null) return undefined;
  for (const [keyword, value] of Object.entries(schema)) {
    if (patternKeywords.includes(keyword)) return keyword;
    if (dataKeywords.includes(keyword)) continue;
    const inner = schemaMaps.includes(keyword) && value ? Object.values(value) : [value];
    for (const each of inner) {
      const found = patternIn(each);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/**
 * The first mistake in the keywords that say what a value must be, with its place, or nothing.
 * @param at where the schema stands
 */
export function mistakeIn(schema: unknown, at = 'schema'): string | undefined {
  if (typeof schema === 'boolean') return undefined;
  if (!isObject(schema)) return `${at} must be an object, true or false`;
  for (const [keyword, value] of Object.entries(schema)) {
    const place = `${at}.${keyword}`;
    const mistake = mistakeOf(keyword, value, place);
    if (mistake !== undefined) return mistake;
  }
  return undefined;
}

function mistakeOf(keyword: string, value: unknown, place: string): string | undefined {
  if (keyword === 'type') {
    const wrong = (Array.isArray(value) ? value : [value]).find((each) => !types.includes(each as string));
    return wrong === undefined ? undefined : `${place} must be of ${types.join(', ')}; got ${JSON.stringify(wrong)}`;
  }
  if (keyword === 'required') {
    const isNames = Array.isArray(value) && value.every((each) => typeof each === 'string');
    return isNames ? undefined : `${place} must be a list of names; got ${JSON.stringify(value)}`;
  }
  if (keyword === 'enum') return Array.isArray(value) ? undefined : `${place} must be a list of values`;
  if (schemaMaps.includes(keyword) && keyword !== 'dependencies') {
    if (!isObject(value)) return `${place} must be an object of schemas by name`;
    return first(
      Object.entries(value).map(
        ([name, each]) =>
          () =>
            mistakeIn(each, `${place}.${name}`),
      ),
    );
  }
  if (schemaLists.includes(keyword)) {
    if (!Array.isArray(value)) return `${place} must be a list of schemas`;
    return first(value.map((each, index) => () => mistakeIn(each, `${place}.${index}`)));
  }
  if (['items', 'additionalProperties', 'not', 'contains', 'propertyNames', 'if', 'then', 'else'].includes(keyword)) {
    return mistakeIn(value, place);
  }
  return undefined;
}

function first(checks: readonly (() => string | undefined)[]): string | undefined {
  for (const check of checks) {
    const found = check();
    if (found !== undefined) return found;
  }
  return undefined;
}
