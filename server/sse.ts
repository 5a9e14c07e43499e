/**
 * Server-sent events from an asynchronous generator. The reader sets the pace: nothing is produced that nobody takes,
 * and a reader who leaves ends the generator.
 *
 * @module
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */

/** One event of the stream; `id` is what `Last-Event-ID` returns with. */
export function serverSentEvent(data: unknown, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;
}

/** The end of a stream in OpenAI's dialect. */
export const doneEvent = 'data: [DONE]\n\n';

/** A comment, which clients skip: it keeps a quiet connection open. */
export const heartbeat = ': heartbeat\n\n';

/**
 * @param chunks text of the stream
 * @param onLeave called when the reader is gone, before the generator is ended
 */
export function eventStreamResponse(chunks: AsyncGenerator<string>, onLeave: () => void): Response {
  const encoder = new TextEncoder();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    async cancel() {
      onLeave();
      await chunks.return(undefined);
    },
  });
  return new Response(stream, {
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      // Tells nginx not to collect events before it passes them on.
      'x-accel-buffering': 'no',
    },
  });
}
