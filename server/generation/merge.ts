/**
 * Several asynchronous streams as one, in the order in which their items arrive.
 *
 * @module
 */

/** Ends when all have ended; the first failure ends it and closes the others. One item of each is fetched ahead. */
export async function* mergeStreams<T>(streams: AsyncGenerator<T>[]): AsyncGenerator<T> {
  type Arrival = { stream: AsyncGenerator<T>; result: IteratorResult<T> };
  const fetch = async (stream: AsyncGenerator<T>): Promise<Arrival> => ({ stream, result: await stream.next() });
  const pending = new Map(streams.map((stream) => [stream, fetch(stream)]));
  // A failure that comes while the reader is busy with another item is reported at its next turn, not as unhandled.
  for (const arrival of pending.values()) arrival.catch(() => {});
  try {
    while (pending.size > 0) {
      const { stream, result } = await Promise.race(pending.values());
      if (result.done) {
        pending.delete(stream);
        continue;
      }
      const following = fetch(stream);
      following.catch(() => {});
      // Put at the end of the order, so that a fast stream does not starve the others.
      pending.delete(stream);
      pending.set(stream, following);
      yield result.value;
    }
  } finally {
    for (const stream of pending.keys()) void stream.return(undefined).catch(() => {});
  }
}
