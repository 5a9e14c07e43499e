import { join } from 'node:path';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { LocalEngine } from '../../src/engine/local.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import type { StepRecord } from '../../src/zo/journal.ts';
import {
  collect,
  optionRows,
  recordsOf,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  writeRows,
} from '../train/tiny.ts';
import { NatsServer } from './nats.ts';

/** What a test of a cluster begins with: a server, a model with rows, and the records of one process. */
export interface Beginning {
  server: NatsServer;
  connection: NatsConnection;
  engine: LocalEngine;
  model: string;
  file: string;
  expected: readonly StepRecord[];
  end(): Promise<void>;
}

export async function begin(program: string, configuration: Partial<TrainConfiguration>): Promise<Beginning> {
  const server = await NatsServer.start(program, temporaryFolder());
  const connection = await connect({ servers: server.url });
  const engine = await LocalEngine.open();
  const [model, file] = [tinyModel(), writeRows(optionRows())];
  const out = join(temporaryFolder(), 'alone');
  await collect(engine.train({ model, data: { file }, configuration, out }));
  const end = async (): Promise<void> => {
    await connection.close();
    await engine.close();
    await server.stop();
    removeTemporary();
  };
  return { server, connection, engine, model, file, expected: await recordsOf(out), end };
}
