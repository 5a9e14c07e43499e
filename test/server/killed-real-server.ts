/**
 * A server with the real engine in a process of its own, for the test that kills it. Prints its address.
 *
 * @module
 */

import process from 'node:process';
import { serve } from '../../server/serve.ts';
import { openEngine } from '../../src/engine/client.ts';
import { modelId, modelPath } from './real-server.ts';

const server = await serve({
  engine: await openEngine(),
  models: [{ id: modelId, path: modelPath }],
  port: 0,
  dataDirectory: process.argv[2]!,
  logLevel: 'silent',
});
console.log(server.url);
