import type { Host, InterruptSignal, Output, ServeRequest } from '../../src/cli/host.ts';
import type { Engine } from '../../src/engine/types.ts';

/** A host whose streams are strings and whose clock, signals and engine a test holds in its hands. */
export interface FakeHost extends Host {
  readonly out: { text: string };
  readonly error: { text: string };
  readonly deaths: InterruptSignal[];
  readonly served: ServeRequest[];
  readonly opened: unknown[];
  /** Repositories that were asked for. */
  readonly pulled: string[];
  /** Milliseconds that `now` returns. */
  time: number;
  interrupt(signal?: InterruptSignal): void;
  closedServers: number;
}

export function fakeHost(
  setting: {
    engine?: Partial<Engine>;
    environment?: Record<string, string>;
    standardInput?: string;
    live?: boolean;
    columns?: number;
  } = {},
): FakeHost {
  const out = { text: '' };
  const error = { text: '' };
  const handlers = new Set<(signal: InterruptSignal) => void>();
  const outputTo = (target: { text: string }): Output => ({
    write: (text) => {
      target.text += text;
    },
    live: setting.live ?? false,
    columns: setting.columns ?? 100,
  });
  const state = { time: 0, closedServers: 0 };
  const host: FakeHost = {
    out,
    error,
    deaths: [],
    served: [],
    opened: [],
    pulled: [],
    get time() {
      return state.time;
    },
    set time(value) {
      state.time = value;
    },
    get closedServers() {
      return state.closedServers;
    },
    environment: setting.environment ?? {},
    standardOutput: outputTo(out),
    standardError: outputTo(error),
    readStandardInput: async () => setting.standardInput ?? '',
    onInterrupt(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    interrupt(signal = 'SIGINT') {
      for (const handler of handlers) handler(signal);
    },
    dieOf: (signal) => {
      host.deaths.push(signal);
    },
    now: () => state.time,
    async openEngine(options) {
      if (!setting.engine) throw new Error('this test opens no engine');
      host.opened.push(options);
      return setting.engine as Engine;
    },
    async resolveRepository({ type, id, revision }) {
      host.pulled.push(`${type === 'model' ? '' : `${type} `}${id}${revision === undefined ? '' : `@${revision}`}`);
      return { directory: id, commit: '0'.repeat(40), files: ['config.json'], downloadedBytes: 0 };
    },
    async startServer(request) {
      host.served.push(request);
      return {
        url: `http://${request.host}:${request.port}`,
        close: async () => {
          state.closedServers++;
        },
      };
    },
  };
  return host;
}

/** An asynchronous stream of these events. */
export async function* streamOf<Event>(events: readonly Event[]): AsyncGenerator<Event> {
  for (const event of events) yield event;
}
