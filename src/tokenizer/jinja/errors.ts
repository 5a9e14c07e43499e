/**
 * What can go wrong with a template: it is not valid, or it fails while it runs.
 *
 * @module
 */

/** The template is not valid Jinja, or has a construct that is not supported here. */
export class TemplateSyntaxError extends Error {
  /** @param line of the template, from 1 */
  constructor(message: string, line: number) {
    super(`line ${line}: ${message}`);
    this.name = 'TemplateSyntaxError';
  }
}

/**
 * The template failed while it ran. The kind is the name of Python's exception, since a few of them are caught by
 * Jinja's own filters.
 */
export class TemplateRuntimeError extends Error {
  readonly kind: string;
  constructor(kind: string, message: string) {
    super(message);
    this.name = 'TemplateRuntimeError';
    this.kind = kind;
  }
}

/** The template wrote, or made in memory, a longer text than allowed. */
export class OutputTooLong extends Error {
  readonly length: number;
  constructor(length: number) {
    super(`the chat template wrote ${length} characters`);
    this.length = length;
  }
}

export const typeError = (message: string) => new TemplateRuntimeError('TypeError', message);
export const valueError = (message: string) => new TemplateRuntimeError('ValueError', message);
export const undefinedError = (message: string) => new TemplateRuntimeError('UndefinedError', message);
/** Python would do something here that is not done alike. A refusal is better than another text. */
export const unsupported = (what: string) =>
  new TemplateRuntimeError('Unsupported', `${what} is not supported in chat templates here`);
