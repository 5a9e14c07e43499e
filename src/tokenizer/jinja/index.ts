/**
 * Chat templates as transformers renders them: Jinja in an immutable sandbox, with `trim_blocks`, `lstrip_blocks`, loop
 * controls, the `generation` tag, and Python's values. A subset, which refuses what it has not; docs/chat-templates.md
 * lists it.
 *
 * @module
 */

import { filters } from './filters.ts';
import { globalFunctions } from './globals.ts';
import { run } from './interpreter.ts';
import { setMaxLength } from './limits.ts';
import { parse } from './parser.ts';
import { tests } from './tests.ts';
import { fromPlain, type Value } from './values.ts';

const known = { filters: new Set(Object.keys(filters)), tests: new Set(Object.keys(tests)) };

/** A template that can be rendered again and again. */
export interface Template {
  /**
   * @param variables plain data, as JSON holds it
   * @throws TemplateRuntimeError if the template fails, OutputTooLong if a text in it becomes longer than the limit
   */
  render(variables: Record<string, unknown>, options?: { maxLength?: number; now?: () => Date }): string;
}

/** @throws TemplateSyntaxError with the line, if the template is not valid or uses what is not supported */
export function compileTemplate(source: string): Template {
  const statements = parse(source, known);
  return {
    render(variables, { maxLength = Number.POSITIVE_INFINITY, now = () => new Date() } = {}) {
      setMaxLength(maxLength);
      const values = Object.entries(variables).filter(([, value]) => value !== undefined);
      const map = new Map<string, Value>(values.map(([name, value]) => [name, fromPlain(value)]));
      return run(statements, map, globalFunctions(now));
    },
  };
}
