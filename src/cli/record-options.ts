/**
 * The options that say whom a recording asks, and how.
 *
 * @module
 */

import { plural } from '../format.ts';
import { checkBaseUrl, Endpoint } from '../recording/endpoint.ts';
import { type RecordingFigures, type RecordRequest, record } from '../recording/record.ts';
import type { Host } from './host.ts';
import { interruptible } from './interrupt.ts';
import type { OptionSpecification, OptionValues } from './option.ts';
import { createProgress } from './progress.ts';
import { requireOption } from './require-option.ts';
import { UsageError } from './usage-error.ts';

const asking = 'Who is asked';

export const recordOptions = [
  {
    name: 'teacher',
    type: 'text',
    placeholder: 'NAME',
    description: 'name of the model at the endpoint',
    group: asking,
  },
  {
    name: 'base-url',
    type: 'text',
    placeholder: 'URL',
    description: 'address of an OpenAI-compatible API, up to and with /v1',
    defaultText: 'OPENAI_BASE_URL, or https://api.openai.com/v1',
    group: asking,
  },
  {
    name: 'api-key-variable',
    type: 'text',
    placeholder: 'NAME',
    default: 'OPENAI_API_KEY',
    description: 'environment variable with the key',
    group: asking,
  },
  {
    name: 'endpoint',
    type: 'text',
    choices: ['chat', 'completions'],
    default: 'chat',
    description: 'chat sends a prompt as a message of a user; completions has it continued',
    group: asking,
  },
  {
    name: 'system',
    type: 'text',
    placeholder: 'TEXT',
    description: 'system message of conversations that have none',
    group: asking,
  },
  {
    name: 'answer-tokens',
    type: 'integer',
    minimum: 1,
    maximum: 1_000_000,
    description: 'most tokens of an answer',
    defaultText: "the endpoint's",
    group: asking,
  },
  {
    name: 'temperature',
    type: 'number',
    minimum: 0,
    maximum: 2,
    description: 'of sampling',
    defaultText: "the endpoint's",
    group: asking,
  },
  {
    name: 'parameter',
    type: 'list',
    placeholder: 'NAME=JSON',
    description: 'another field of every request, such as top_p=0.9 or reasoning_effort=\'"low"\'; repeatable',
    group: asking,
  },
  {
    name: 'concurrency',
    type: 'integer',
    minimum: 1,
    maximum: 1000,
    default: 8,
    description: 'prompts at once',
    group: asking,
  },
  {
    name: 'retries',
    type: 'integer',
    minimum: 0,
    maximum: 100,
    default: 8,
    description: 'how often a prompt is tried again, with growing pauses or those that the endpoint asks for',
    group: asking,
  },
  {
    name: 'timeout',
    type: 'number',
    minimum: 1,
    maximum: 3600,
    default: 300,
    description: 'seconds after which an answer that has not come is given up',
    group: asking,
  },
] as const satisfies readonly OptionSpecification[];

export type RecordOptions = OptionValues<typeof recordOptions>;

/** The request of a recording, and what reaches its endpoint. @throws UsageError for what is missing */
export function recordRequest(
  { environment, options }: { environment: Host['environment']; options: RecordOptions },
  command: string,
  { file, out, reading }: Pick<RecordRequest, 'file' | 'out' | 'reading'>,
): { request: RecordRequest; apiKey: string | undefined } {
  const model = requireOption(options.teacher, command, 'teacher NAME');
  const baseUrl = checkBaseUrl(options.baseUrl ?? environment.OPENAI_BASE_URL ?? 'https://api.openai.com/v1');
  const { endpoint, system, answerTokens, temperature, concurrency } = options;
  // Models that think count their thoughts under the newer name, and refuse the older one.
  const limit = endpoint === 'chat' ? 'max_completion_tokens' : 'max_tokens';
  const settings = {
    ...(answerTokens === undefined ? {} : { [limit]: answerTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...fieldsOf(options.parameter),
  };
  return {
    request: {
      ...{ file, out, baseUrl, endpoint, model, settings, system, concurrency },
      ...(reading ? { reading } : {}),
    },
    apiKey: environment[options.apiKeyVariable] || undefined,
  };
}

const own = ['model', 'messages', 'prompt', 'stream', 'n', 'tools'];

function fieldsOf(given: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    given.map((pair) => {
      const [, name, text] = /^([A-Za-z_]\w*)=(.+)$/s.exec(pair) ?? [];
      const refuse = (why: string): UsageError =>
        new UsageError(`--parameter ${pair}: ${why}`, { parameter: 'parameter' });
      if (name === undefined) throw refuse('expected NAME=JSON');
      if (own.includes(name)) throw refuse(`"${name}" is decided by the recording`);
      try {
        return [name, JSON.parse(text!)];
      } catch {
        throw refuse('the value is no JSON; a text needs quotation marks: \'name="text"\'');
      }
    }),
  );
}

/**
 * Records and shows how it goes. The first Ctrl-C lets what is under way be answered.
 * @returns `undefined` figures where it was interrupted, with the exit code of that
 */
export async function recordWithProgress(
  context: Host & { readonly options: RecordOptions & { quiet: boolean } },
  { request, apiKey }: { request: RecordRequest; apiKey: string | undefined },
): Promise<{ figures: RecordingFigures | undefined; exitCode: number }> {
  const { quiet, retries, timeout } = context.options;
  const progress = createProgress(context, quiet);
  const onWait = (seconds: number, reason: string): void => {
    if (seconds >= 5) progress.update(`waiting ${Math.round(seconds)} s: ${reason}`);
  };
  const endpoint = new Endpoint({ ...{ baseUrl: request.baseUrl, apiKey, retries, timeout }, onWait });
  const notice = (): void => progress.line('stopping when the prompts under way are answered');
  try {
    const { result: figures, exitCode } = await interruptible(context, notice, (signal) =>
      record(
        endpoint,
        request,
        (event) => {
          if (event.type === 'start' && event.answered > 0) {
            progress.line(`going on: ${event.answered} of ${plural(event.prompts, 'prompt')} are answered`);
          }
          if (event.type === 'answer') progress.update(`${event.done} of ${plural(event.prompts, 'prompt')}`);
        },
        signal,
      ),
    );
    progress.end();
    for (const warning of figures ? warningsOf(figures) : []) progress.line(`warning: ${warning}`);
    return { figures, exitCode };
  } finally {
    progress.end();
  }
}

function warningsOf({ unusable, firstUnusable, cut, prompts, rows }: RecordingFigures): string[] {
  return [
    ...(unusable > 0 ? [`${unusable} of ${plural(prompts, 'prompt')} made no row; the first: ${firstUnusable}`] : []),
    ...(cut > 0
      ? [`${cut} of ${plural(rows, 'answer')} end where they became too long; --answer-tokens allows more`]
      : []),
  ];
}
