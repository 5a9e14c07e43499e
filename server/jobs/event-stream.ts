/**
 * The events of a job as a live stream: first what the reader has missed, then what happens, until the job ends.
 *
 * @module
 */

import { invalid } from '../errors.ts';
import type { JobEvent } from '../schemas/jobs.ts';
import type { Services } from '../services.ts';
import { doneEvent, eventStreamResponse, heartbeat, serverSentEvent } from '../sse.ts';
import type { EventRecord } from '../store.ts';
import { isFinished } from './runner.ts';

/** Events read from the store at once. */
const pageSize = 200;

const idPattern = /^ftevent-(\d{1,15})$/;

export function toEvent(record: EventRecord): JobEvent {
  return {
    id: `ftevent-${record.sequence}`,
    object: 'fine_tuning.job.event',
    created_at: record.createdAt,
    level: record.level,
    message: record.message,
    type: record.type,
    data: record.data,
  };
}

/** The position that an event's id stands for. @throws ApiError 400 for anything that is not such an id */
export function parseEventId(id: string, param: string): number {
  const digits = idPattern.exec(id)?.[1];
  if (digits === undefined) throw invalid(`"${id.slice(0, 80)}" is not the id of an event (ftevent-NUMBER).`, param);
  return Number(digits);
}

/** @param position the sequence number after which the stream begins */
export function jobEventStream(services: Services, jobId: string, position: number, client: AbortSignal): Response {
  const { store, jobs, signals, stopping, configuration } = services;
  const left = new AbortController();
  const signal = AbortSignal.any([left.signal, client, stopping]);

  async function* body(): AsyncGenerator<string> {
    // The head of the response goes out at once, even when nothing has happened yet.
    yield heartbeat;
    let last = position;
    while (!signal.aborted) {
      // Asked for before the store is read, so that an event in between wakes us all the same.
      const { news, cancel } = signals.next(jobId, configuration.heartbeatSeconds * 1000, signal);
      try {
        const ended = isFinished(jobs.get(jobId).status);
        const page = store.events(jobId, { after: last, limit: pageSize, order: 'asc' });
        for (const record of page.data) {
          yield serverSentEvent(toEvent(record), toEvent(record).id);
          last = record.sequence;
        }
        if (page.hasMore) continue;
        if (ended) {
          yield doneEvent;
          return;
        }
        if (!(await news) && !signal.aborted) yield heartbeat;
      } finally {
        cancel();
      }
    }
  }
  return eventStreamResponse(body(), () => left.abort());
}
