import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { NatsServer, natsServerProgram } from '../cluster/nats.ts';
import {
  collect,
  optionRows,
  quick,
  recordsOf,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  writeRows,
} from '../train/tiny.ts';

const launcher = fileURLToPath(new URL('../../bin/subzero.mjs', import.meta.url));
const program = natsServerProgram();

test.skipIf(program === undefined)('a worker whose clock is a month ahead: the bits of one process', async () => {
  const server = await NatsServer.start(program!, temporaryFolder());
  const engine = await LocalEngine.open();
  const model = tinyModel();
  const request = { model, data: { file: writeRows(optionRows()) }, configuration: { ...quick, shards: 4 } };
  const ahead = 'const now = Date.now; Date.now = () => now() + 30 * 86_400_000;';
  const clock = ['--import', `data:text/javascript,${encodeURIComponent(ahead)}`];
  const worker = spawn(process.execPath, [...clock, launcher, 'worker', '--model', model, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, SUBZERO_CLUSTER: server.url },
  });
  const ended = once(worker, 'exit');
  let joined = false;
  worker.stdout.on('data', (text) => (joined ||= String(text).includes('"joined"')));
  const [out, alone] = [join(temporaryFolder(), 'shared'), join(temporaryFolder(), 'alone')];
  const messages: string[] = [];
  try {
    for await (const event of engine.train({ ...request, out, cluster: { url: server.url } })) {
      if (event.type === 'message') messages.push(event.message);
      if (event.type === 'step' && event.step === 1) for (let at = 0; at < 2000 && !joined; at++) await sleep(50);
    }
  } finally {
    worker.kill('SIGKILL');
    await ended;
    await server.stop();
  }
  expect(messages.join('\n')).toMatch(/takes part/);
  await collect(engine.train({ ...request, out: alone }));
  expect(await recordsOf(out)).toEqual(await recordsOf(alone));
  await engine.close();
  removeTemporary();
});
