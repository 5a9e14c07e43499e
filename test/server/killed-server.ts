/**
 * A server with slow training in a process of its own, for the test that kills it. Prints its address.
 *
 * @module
 */

import process from 'node:process';
import { serve } from '../../server/serve.ts';
import { FakeEngine } from './fake-engine.ts';

const engine = new FakeEngine();
engine.stepMilliseconds = 20;
const server = await serve({
  engine,
  models: [{ id: 'base', path: 'fake:base' }],
  port: 0,
  dataDirectory: process.argv[2]!,
  logLevel: 'silent',
});
console.log(server.url);
