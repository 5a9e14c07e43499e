import { spawn } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { optionRows, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

const launcher = fileURLToPath(new URL('../../bin/subzero.mjs', import.meta.url));

afterAll(removeTemporary);

/** Starts a run that would take minutes for its first evaluation. */
function startTraining(parameters: readonly string[] = []) {
  const words = [
    ...['train', '--model', tinyModel(), '--data', writeRows(optionRows()), '--out', join(temporaryFolder(), 'run')],
    ...['--steps', '1000000', '--learning-rate', '0', '--rank', '2', ...parameters],
  ];
  const child = spawn(process.execPath, [launcher, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  const text = { errors: '' };
  const appears = (part: string) =>
    new Promise<void>((resolve) => {
      child.stderr.on('data', (chunk) => {
        text.errors += chunk;
        if (text.errors.includes(part)) resolve();
      });
    });
  return { child, ended, text, appears };
}

test('a second Ctrl-C ends the process at once, without a word of the native library', async () => {
  // Passes of 16 rows: a step lasts longer than the time between the two.
  const { child, ended, text, appears } = startTraining(['--batch-size', '4096', '--max-rows', '64']);
  await appears('training to step');
  child.kill('SIGINT');
  await appears('stopping after this step');
  await sleep(600);
  child.kill('SIGINT');
  expect(await ended).toEqual({ code: null, signal: 'SIGINT' });
  expect(text.errors).not.toContain('Promise not resolved');
}, 60_000);

test('a reader of the output that goes away ends the run in order', async () => {
  const { child, ended, text } = startTraining(['--json', '--batch-size', '2']);
  child.stderr.on('data', (chunk) => {
    text.errors += chunk;
  });
  child.stdout.once('data', () => child.stdout.destroy());
  expect(await ended).toEqual({ code: 143, signal: null });
  expect(text.errors).not.toMatch(/Promise not resolved|internal error|throw/);
}, 60_000);
