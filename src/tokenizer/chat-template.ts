/**
 * Rendering chat templates with a limit on time and on output. One warm thread renders one template after the other;
 * when the time is up the thread is ended, and the next rendering starts a fresh one.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { startWorker, type Worker } from '../platform/index.ts';
import type { RenderReply, RenderRequest } from './chat-template-worker.ts';

/** Milliseconds; real templates take less than one. */
const defaultTimeLimit = 1000;
/** Starting a thread is not the template's fault and may take long on a busy machine. */
const startTimeLimit = 60_000;
/** UTF-16 units: above the longest context that a model of this project has, by far. */
const defaultMaxLength = 16 * 1024 * 1024;
/** A template that hoards memory ends its own thread, not the process (honoured by Node). */
const maxHeapMegabytes = 256;

export interface RenderLimits {
  /** Milliseconds that a rendering itself may take. */
  timeLimit?: number;
  /** UTF-16 units of a result. */
  maxLength?: number;
}

/** The warm thread, once it has said that it is ready. */
let warm: Promise<Worker> | undefined;
/** Renderings run one at a time, so that the time limit is the time of one. */
let queue: Promise<unknown> = Promise.resolve();

/**
 * Renders a Jinja chat template as transformers does; see jinja/index.ts.
 *
 * @param variables plain data that the template sees: `messages`, `add_generation_prompt`, `bos_token` …
 * @throws SubzeroError as {@link renderChatTemplates} does
 */
export async function renderChatTemplate(
  template: string,
  variables: Record<string, unknown>,
  limits: RenderLimits = {},
): Promise<string> {
  const [text] = await renderChatTemplates(template, [variables], limits);
  return text!;
}

/**
 * Renders a chat template once for each set of variables, all in one turn of the thread: a word to it and back takes
 * longer than a rendering.
 *
 * @throws SubzeroError `invalid_argument` if the template refuses the messages, takes longer than the limit or writes
 *   more than the limit; `invalid_data` if it is not a valid template
 */
export function renderChatTemplates(
  template: string,
  variables: readonly Record<string, unknown>[],
  limits: RenderLimits = {},
): Promise<string[]> {
  const { timeLimit = defaultTimeLimit, maxLength = defaultMaxLength } = limits;
  const result = queue.then(async () => {
    const reply = await request({ template, variables, maxLength }, timeLimit * variables.length);
    switch (reply.type) {
      case 'rendered':
        return reply.texts;
      case 'too_long':
        throw new SubzeroError(
          'invalid_argument',
          `the chat template wrote ${reply.length} characters; at most ${maxLength} are allowed`,
          { parameter: 'messages' },
        );
      case 'failed':
        throw reply.stage === 'parse'
          ? new SubzeroError('invalid_data', `the model's chat template is not valid: ${reply.message}`)
          : new SubzeroError('invalid_argument', `the chat template refused the messages: ${reply.message}`, {
              parameter: 'messages',
            });
      default:
        throw new Error(`unexpected reply ${reply.type}`);
    }
  });
  queue = result.catch(() => {});
  return result;
}

/** Ends the warm thread, if there is one. It does not keep a process alive, so only tests and shut-downs need this. */
export async function closeChatTemplates(): Promise<void> {
  await queue;
  const worker = await warm?.catch(() => undefined);
  warm = undefined;
  await worker?.terminate();
}

/** Posts one request and waits for its reply, the end of the thread, or the time limit. */
async function request(message: RenderRequest, timeLimit: number): Promise<RenderReply> {
  warm ??= start();
  const worker = await warm.catch((error) => {
    warm = undefined;
    throw error;
  });
  return new Promise((resolve, reject) => {
    const giveUp = (error: SubzeroError) => {
      settle();
      warm = undefined;
      void worker.terminate();
      reject(error);
    };
    const onMessage = (reply: RenderReply) => {
      settle();
      resolve(reply);
    };
    const onError = (error: Error) =>
      giveUp(
        new SubzeroError('invalid_argument', `the chat template ended its thread: ${error.message}`, {
          parameter: 'messages',
          cause: error,
        }),
      );
    const onExit = () => onError(new Error('it exited'));
    const timer = setTimeout(
      () =>
        giveUp(
          new SubzeroError('invalid_argument', `the chat template ran longer than ${timeLimit} ms and was stopped`, {
            parameter: 'messages',
          }),
        ),
      timeLimit,
    );
    const settle = () => {
      clearTimeout(timer);
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      worker.unref();
    };
    worker.ref();
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    worker.postMessage(message);
  });
}

/** Starts the thread and waits for its first word. */
function start(): Promise<Worker> {
  const worker = startWorker('./chat-template-worker.ts', import.meta.url, { maxHeapMegabytes });
  const started = new Promise<Worker>((resolve, reject) => {
    const fail = (why: string, cause?: unknown) => {
      clearTimeout(timer);
      void worker.terminate();
      reject(new SubzeroError('io', `cannot start the thread that renders chat templates: ${why}`, { cause }));
    };
    const timer = setTimeout(() => fail(`no answer within ${startTimeLimit / 1000} s`), startTimeLimit);
    worker.once('message', () => {
      clearTimeout(timer);
      worker.removeAllListeners('error');
      // An error between two renderings, or of a thread that is being ended, must not become an uncaught one.
      worker.on('error', () => {});
      worker.once('exit', () => {
        if (warm === started) warm = undefined;
      });
      worker.unref();
      resolve(worker);
    });
    worker.once('error', (error) => fail(error.message, error));
  });
  return started;
}
