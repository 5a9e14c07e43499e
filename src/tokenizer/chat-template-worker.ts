/**
 * The thread that renders chat templates. A template is a program that came with a model: it may loop for ever, and a
 * synchronous loop can only be stopped by ending its thread (see chat-template.ts).
 *
 * @module
 */

import { parentPort } from '../platform/index.ts';
import { OutputTooLong } from './jinja/errors.ts';
import { compileTemplate, type Template } from './jinja/index.ts';

/** Renderings of one template. */
export interface RenderRequest {
  template: string;
  /** Those of each rendering. */
  variables: readonly Record<string, unknown>[];
  /** Most UTF-16 units that the result, and any text on the way to it, may have. */
  maxLength: number;
}

export type RenderReply =
  | { type: 'ready' }
  | { type: 'rendered'; texts: string[] }
  | { type: 'failed'; stage: 'parse' | 'render'; message: string }
  | { type: 'too_long'; length: number };

const port = parentPort;
if (port === null) throw new Error('chat-template-worker.ts runs in a worker thread only');

/** The last template, parsed: a server renders the same one over and over. */
let parsed: { source: string; template: Template } | undefined;

port.on('message', (request: RenderRequest) => port.postMessage(render(request)));
port.postMessage({ type: 'ready' } satisfies RenderReply);

function render({ template, variables, maxLength }: RenderRequest): RenderReply {
  let stage: 'parse' | 'render' = 'parse';
  try {
    if (parsed?.source !== template) parsed = { source: template, template: compileTemplate(template) };
    stage = 'render';
    const { template: compiled } = parsed;
    return { type: 'rendered', texts: variables.map((each) => compiled.render(each, { maxLength })) };
  } catch (error) {
    if (error instanceof OutputTooLong) return { type: 'too_long', length: error.length };
    // The stack of the language is what limits how deep a template may nest or call itself.
    if (error instanceof RangeError) return { type: 'failed', stage, message: 'it nests, or calls itself, too deep' };
    return { type: 'failed', stage, message: error instanceof Error ? error.message : String(error) };
  }
}
