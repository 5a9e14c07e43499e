import { SubzeroError } from '../errors.ts';

/** The command line itself is wrong: an unknown option, a value out of range, two options that exclude each other. */
export class UsageError extends SubzeroError {
  /** One more line for the user: what to try or where to read on. */
  readonly hint: string | undefined;

  constructor(message: string, options: { parameter?: string; hint?: string } = {}) {
    super('invalid_argument', message, options.parameter ? { parameter: options.parameter } : {});
    this.name = 'UsageError';
    this.hint = options.hint;
  }
}
