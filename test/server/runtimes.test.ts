import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const smoke = fileURLToPath(new URL('runtime-smoke.ts', import.meta.url));
const bin = fileURLToPath(new URL('../../node_modules/.bin/', import.meta.url));

test.each([
  ['node', [smoke]],
  ['bun', [smoke]],
  ['deno', ['run', '-A', '--no-lock', '--node-modules-dir=manual', smoke]],
])('the server works on %s', async (runtime, parameters) => {
  const child = spawn(bin + runtime, parameters, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect({ code, output }).toMatchObject({ code: 0, output: expect.stringContaining('0 failures') });
});
