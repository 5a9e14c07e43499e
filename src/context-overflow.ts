/**
 * The refusal of a text that does not fit a model's context.
 *
 * @module
 */

import { SubzeroError } from './errors.ts';

/**
 * The same words wherever a text is too long, because clients that cut the text, or turn to another model, look for
 * them: LangChain (Python) and Anthropic's clients for "prompt is too long", LiteLLM and LangChain (JavaScript) for
 * "this model's maximum context length is".
 *
 * @param what how long it is, as in "it has 300 tokens"
 * @param contextLength most tokens of a text
 * @param parameter the field at fault
 * @param note what else is in the context
 */
export function contextOverflow(what: string, contextLength: number, parameter: string, note = ''): SubzeroError {
  return new SubzeroError(
    'context_length_exceeded',
    `the prompt is too long: ${what}, and this model's maximum context length is ${contextLength} tokens${note}`,
    { parameter },
  );
}
