import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { NatsServer, natsServerProgram } from '../cluster/nats.ts';
import {
  ofType,
  optionRows,
  quick,
  recordsOf,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  trainUpTo,
  writeRows,
} from '../train/tiny.ts';

const program = natsServerProgram();

const methods: [string, Partial<TrainConfiguration>][] = [
  ['full', {}],
  ['LoRA', { scheme: 'lora' }],
  ['SubZero+', { optimizer: 'subzero-plus' }],
];
const cuts: [string, Partial<TrainConfiguration>][] = [
  ['4 shards', { shards: 4 }],
  ['2 shards × 3 ranges of probes', { shards: 2, queryShards: 3, queries: 3 }],
];
const cases = methods.flatMap(([method, settings]) =>
  cuts.flatMap(([cut, parts]) =>
    [1, 2, 3].map((seed): [string, Partial<TrainConfiguration>] => [
      `${method}, ${cut}, seed ${seed}`,
      { ...settings, ...parts, seed },
    ]),
  ),
);

describe.skipIf(program === undefined)('a cluster with two workers has the bits of one process', () => {
  let server: NatsServer;
  let engine: LocalEngine;
  let what: { model: string; file: string };

  beforeAll(async () => {
    server = await NatsServer.start(program!, temporaryFolder());
    engine = await LocalEngine.open();
    what = { model: tinyModel(), file: writeRows(optionRows()) };
  });
  afterAll(async () => {
    await engine.close();
    await server.stop();
    removeTemporary();
  });

  test.each(cases)('%s', async (_, settings) => {
    const configuration = { ...quick, ...settings };
    const alone = await trainUpTo(engine, what, configuration);
    const stop = new AbortController();
    let joined = 0;
    const workers = [0, 1].map(async () => {
      for await (const { type } of engine.work({ url: server.url, models: [what.model] }, stop.signal)) {
        if (type === 'joined') joined++;
      }
    });
    const out = join(temporaryFolder(), 'run');
    const request = { model: what.model, data: { file: what.file }, configuration, out };
    const events = [];
    for await (const event of engine.train({ ...request, cluster: { url: server.url } })) {
      events.push(event);
      if (event.type !== 'step' || event.step !== 1) continue;
      for (let waited = 0; waited < 600 && joined < 2; waited++) await sleep(50);
    }
    stop.abort();
    await Promise.all(workers);
    const { members } = ofType(events, 'cluster').at(-1)!;
    // Both are of this process, and have one name.
    expect(members.find(({ here }) => !here)?.shards).toBeGreaterThan(0);
    expect(await recordsOf(out)).toEqual(await recordsOf(alone.run));
  });
});
