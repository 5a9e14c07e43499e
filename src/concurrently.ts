/**
 * Work on many things, some at a time.
 *
 * @module
 */

/**
 * Calls `work` for every item, at most `atOnce` at a time, in their order. The first failure ends it: nothing further
 * is begun, and what is under way is waited for before the failure is thrown.
 * @param signal ends it in the same way, but quietly
 */
export async function concurrently<T>(
  items: Iterable<T> | AsyncIterable<T>,
  atOnce: number,
  work: (item: T, index: number) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const waiting = new Set<Promise<void>>();
  let failure: { error: unknown } | undefined;
  let index = 0;
  try {
    for await (const item of items) {
      if (failure || signal?.aborted) break;
      const one: Promise<void> = work(item, index++)
        .catch((error) => {
          failure ??= { error };
        })
        .finally(() => waiting.delete(one));
      waiting.add(one);
      while (waiting.size >= atOnce) await Promise.race(waiting);
    }
  } finally {
    await Promise.all(waiting);
  }
  if (failure) throw failure.error;
}
