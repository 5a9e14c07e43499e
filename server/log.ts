/**
 * Structured logs: one JSON object a line on standard error, so that standard output stays free for the program's
 * result.
 *
 * @module
 */

import { writeStandardError } from '../src/platform/index.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

const order: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 };

export type LogFields = Record<string, unknown>;

/** Writes one line a call; {@link Logger.with} returns a logger that adds the same fields to each line. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  with(fields: LogFields): Logger;
}

/**
 * @param level lines below it are dropped
 * @param write receives each line without its line end; standard error by default
 */
export function createLogger(
  level: LogLevel,
  write: (line: string) => void = (line) => writeStandardError(`${line}\n`),
  bound: LogFields = {},
): Logger {
  const at = (lineLevel: LogLevel) => (message: string, fields?: LogFields) => {
    if (order[lineLevel] < order[level]) return;
    write(JSON.stringify({ time: new Date().toISOString(), level: lineLevel, message, ...bound, ...fields }));
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (fields) => createLogger(level, write, { ...bound, ...fields }),
  };
}
