/**
 * Requests to the service: the key, errors as exceptions, server-sent events.
 *
 * @module
 */

import { operations } from './operations.js';

const keyName = 'subzero-api-key';

/** A failure that the service explained. */
export class ServiceError extends Error {
  /** @param {number} status @param {{message: string, param: string | null, code: string | null}} error */
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.param = error.param;
    this.code = error.code;
  }
}

/** @type {() => Promise<string>} */
let askForKey = async () => {
  throw new Error('no key');
};

/**
 * Who to ask for the API key when the service wants one.
 * @param {(wrong: boolean) => Promise<string>} ask
 */
export function onKeyNeeded(ask) {
  /** @type {Promise<string> | undefined} */
  let asking;
  // Several requests fail at once; the person is asked once.
  askForKey = () => {
    asking ??= ask(sessionStorage.getItem(keyName) !== null).finally(() => {
      asking = undefined;
    });
    return asking;
  };
}

/**
 * @typedef {object} RequestOptions
 * @property {string} [id] stands for the `{…}` in the path
 * @property {Record<string, string>} [query]
 * @property {object | FormData} [body]
 * @property {AbortSignal} [signal]
 * @property {Record<string, string>} [headers]
 */

/**
 * Sends a request; asks for the key and repeats it when the service wants one.
 * @param {import('./operations.js').OperationName} name
 * @param {RequestOptions} [options]
 * @returns {Promise<Response>}
 */
export async function send(name, { id = '', query = {}, body, signal, headers = {} } = {}) {
  const [method, template] = operations[name];
  const path = template.replace(/\{\w+\}/, encodeURIComponent(id));
  const search = Object.keys(query).length > 0 ? `?${new URLSearchParams(query)}` : '';
  for (;;) {
    const key = sessionStorage.getItem(keyName);
    const response = await fetch(path + search, {
      method,
      headers: {
        ...headers,
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(body && !(body instanceof FormData) ? { 'content-type': 'application/json' } : {}),
      },
      ...(body ? { body: body instanceof FormData ? body : JSON.stringify(body) } : {}),
      ...(signal ? { signal } : {}),
    });
    if (response.ok) return response;
    if (response.status === 401) {
      // Another request may have got a new key meanwhile.
      if (sessionStorage.getItem(keyName) === key) sessionStorage.setItem(keyName, await askForKey());
      continue;
    }
    const answer = await response.json().catch(() => undefined);
    const unexplained = { message: `The server answered ${response.status}.`, param: null, code: null };
    throw new ServiceError(response.status, answer?.error ?? unexplained);
  }
}

/**
 * @param {import('./operations.js').OperationName} name
 * @param {RequestOptions} [options]
 * @returns {Promise<any>} the JSON of the answer
 */
export async function call(name, options) {
  return (await send(name, options)).json();
}

/**
 * The events of a stream. Ends at `[DONE]` or with the connection; throws what the service reports on the way.
 * @param {Response} response
 * @returns {AsyncGenerator<{id: string | undefined, data: any}>}
 */
export async function* eventsOf(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (data === undefined) continue;
      if (data === '[DONE]') return;
      const parsed = JSON.parse(data);
      if (parsed.error?.message && parsed.object === undefined) throw new ServiceError(0, parsed.error);
      yield { id: /^id: (.*)$/m.exec(block)?.[1], data: parsed };
    }
  }
}
