/**
 * Sorting by Python's order, and reaching into items by the `attribute` argument of Jinja's filters.
 *
 * @module
 */

import { getItem } from './access.ts';
import { asText, compare, Undefined, type Value } from './values.ts';

/** Texts in lower case, so that the order does not depend on case; everything else as it is. */
export function ignoreCase(value: Value): Value {
  return asText(value)?.toLowerCase() ?? value;
}

export const identity = (value: Value): Value => value;

/** A new list in the order of the keys; equals keep their order, in a reversed list too. */
export function sorted(items: readonly Value[], key: (item: Value) => Value, reverse = false): Value[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  keyed.sort((a, b) => {
    const order = compare('<', a.key, b.key) ? -1 : compare('<', b.key, a.key) ? 1 : 0;
    return reverse ? -order : order;
  });
  return keyed.map(({ item }) => item);
}

function parts(attribute: Value): Value[] {
  const text = asText(attribute);
  if (text === undefined) return attribute === null ? [] : [attribute];
  return text.split('.').map((part) => (/^\p{Nd}+$/u.test(part) ? BigInt(part) : part));
}

/** A function that reads an attribute such as `function.name` or `0` of an item. */
export function attributeGetter(
  attribute: Value,
  after: (value: Value) => Value = identity,
  otherwise: Value = null,
): (item: Value) => Value {
  const path = parts(attribute);
  return (item) => {
    let value = item;
    for (const part of path) {
      value = getItem(value, part);
      if (otherwise !== null && value instanceof Undefined) value = otherwise;
    }
    return after(value);
  };
}

/** As {@link attributeGetter}, of several attributes with commas between them. */
export function attributesGetter(attribute: Value, after: (value: Value) => Value): (item: Value) => Value[] {
  const text = asText(attribute);
  const names: Value[] = text === undefined ? [attribute] : text.split(',');
  const getters = names.map((name) => attributeGetter(name, after));
  return (item) => getters.map((get) => get(item));
}
