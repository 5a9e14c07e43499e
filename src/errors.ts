/**
 * The one error hierarchy of the project. Every failure that a user can cause or repair is a {@link SubzeroError}
 * whose message says what was expected, what came, and what to do; anything else that is thrown is a defect of ours.
 *
 * @module
 */

import { type Words, wording } from './words.ts';

/** What kind of failure it is; the server maps it to an HTTP status, the command line to an exit code. */
export type ErrorCode =
  | 'invalid_argument' // a value the caller gave is out of range, unknown or contradictory
  | 'context_length_exceeded' // a text has more tokens than the model's context
  | 'invalid_data' // a file or a data set does not hold what it should
  | 'not_found' // a file, model, run or job that was named does not exist
  | 'unsupported' // valid, but this version or this adapter cannot do it
  | 'conflict' // the state does not allow it (a run folder that exists, a journal of another base model)
  | 'no_adapter' // no WebGPU adapter could be opened
  | 'out_of_memory' // the GPU refused an allocation
  | 'gpu' // the GPU reported a validation or internal error
  | 'device_lost' // the GPU device went away
  | 'cancelled' // the caller asked to stop
  | 'io'; // disk full, permission denied, unreadable

/** A failure with a code, a message for people, and an optional name of the offending parameter or file. */
export class SubzeroError extends Error {
  readonly code: ErrorCode;
  /** The option, field or file that is at fault, if there is one. */
  readonly parameter: string | undefined;
  /** The message with the parameters that it names marked; {@link wording} calls them as the reader does. */
  readonly words: Words;

  constructor(code: ErrorCode, message: string | Words, options: { parameter?: string; cause?: unknown } = {}) {
    const words = typeof message === 'string' ? [message] : message;
    super(wording(words), options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SubzeroError';
    this.code = code;
    this.parameter = options.parameter;
    this.words = words;
  }
}

/** The plain-data form of an error, for messages between threads. */
export interface ErrorRecord {
  code: ErrorCode | 'internal';
  message: string | Words;
  parameter?: string;
  stack?: string;
}

/** Turns any thrown value into plain data that survives `postMessage`. */
export function toErrorRecord(error: unknown): ErrorRecord {
  if (error instanceof SubzeroError) {
    return { code: error.code, message: error.words, ...(error.parameter ? { parameter: error.parameter } : {}) };
  }
  if (error instanceof Error) {
    return { code: 'internal', message: error.message, ...(error.stack ? { stack: error.stack } : {}) };
  }
  return { code: 'internal', message: String(error) };
}

/** The inverse of {@link toErrorRecord}. */
export function fromErrorRecord(record: ErrorRecord): Error {
  if (record.code !== 'internal') {
    return new SubzeroError(record.code, record.message, record.parameter ? { parameter: record.parameter } : {});
  }
  const error = new Error(typeof record.message === 'string' ? record.message : wording(record.message));
  if (record.stack) error.stack = record.stack;
  return error;
}
