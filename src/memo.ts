/**
 * Values made once for each tuple of keys.
 *
 * @module
 */

type Key = string | number | boolean | undefined;

/**
 * A map over tuples: one level for each key, so that looking up what is there builds no text and no number that could
 * collide.
 */
export class Memo<Value> {
  readonly #root = new Map<Key, unknown>();

  /**
   * Finds a value, or makes it.
   * @param keys what decides the value, and nothing else; every call passes the same number of keys
   * @param make makes the value of these keys, always the same one
   */
  get(keys: readonly Key[], make: () => Value): Value {
    let level = this.#root;
    const last = keys.length - 1;
    for (let index = 0; index < last; index++) {
      let next = level.get(keys[index]) as Map<Key, unknown> | undefined;
      if (!next) {
        next = new Map();
        level.set(keys[index], next);
      }
      level = next;
    }
    if (!level.has(keys[last])) level.set(keys[last], make());
    return level.get(keys[last]) as Value;
  }
}
