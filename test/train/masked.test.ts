/** A masked language model as a user has it: evaluated, trained, resumed, exported and served by the command line. */

import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeMaskedModel } from '../support/masked-model.ts';
import { withSeed } from '../support/random.ts';
import type { RandomModel } from '../support/zo/random-model.ts';
import { removeTemporary, temporaryFolder } from './tiny.ts';

const launcher = fileURLToPath(new URL('../../bin/subzero.mjs', import.meta.url));
const sample = fileURLToPath(new URL('../../examples/sst2/train.jsonl', import.meta.url));

let model: RandomModel;
let data: string;
beforeAll(async () => {
  model = await withSeed('a masked model', writeMaskedModel);
  data = temporaryFolder();
  const rows = readFileSync(sample, 'utf8').split('\n').slice(0, 24).join('\n');
  writeFileSync(join(data, 'train.jsonl'), rows);
  // The loss of what is learnt must fall, whatever a random model makes of other sentences.
  writeFileSync(join(data, 'dev.jsonl'), rows);
});
afterAll(async () => {
  await model.remove();
  removeTemporary();
});

async function subzero(...words: readonly string[]): Promise<{ code: number; output: string; errors: string }> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [launcher, ...words]);
    return { code: 0, output: stdout, errors: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, output: stdout, errors: stderr };
  }
}

async function lossOf(directory: string): Promise<number> {
  const { output, errors, code } = await subzero(
    'eval',
    '--model',
    directory,
    '--task',
    'sst2',
    '--data',
    data,
    '--json',
  );
  expect(code, errors).toBe(0);
  return JSON.parse(output).loss;
}

const settings = ['--rank', '4', '--refresh', '10', '--batch-size', '24', '--learning-rate', '3e-3', '--queries', '2'];

test('training by the command line lowers the loss; resumed runs and exported models go on from there', async () => {
  const before = await lossOf(model.directory);
  const run = join(temporaryFolder(), 'run');
  const train = ['train', '--model', model.directory, '--task', 'sst2', '--data', data, '--out', run, ...settings];
  const first = await subzero(...train, '--steps', '10');
  expect(first.code, first.errors).toBe(0);
  const resumed = await subzero('train', '--resume', run, '--steps', '20');
  expect(resumed.code, resumed.errors).toBe(0);
  expect(resumed.output).toContain('finished at step 20');
  const after = await lossOf(run);
  expect(after).toBeLessThan(before - 0.01);

  const whole = join(temporaryFolder(), 'whole');
  const once = await subzero(...train.with(train.indexOf(run), whole), '--steps', '20');
  expect(once.code, once.errors).toBe(0);
  expect(await lossOf(whole)).toBe(after);

  const out = join(temporaryFolder(), 'out');
  const exported = await subzero('export', '--run', run, '--format', 'safetensors', '--out', out);
  expect(exported.code, exported.errors).toBe(0);
  expect(Math.abs((await lossOf(out)) - after)).toBeLessThan(1e-4);
}, 300_000);

test('a text is not generated, and what has no mask is not learnt; both say why', async () => {
  const generated = await subzero('generate', '--model', model.directory, '--prompt', 'The film was');
  expect(generated.code).not.toBe(0);
  expect(generated.errors).toMatch(
    /is a masked language model \(roberta\): it fills in masks and cannot go on with a text/,
  );
  expect(generated.errors.match(/masked/g)).toHaveLength(1);

  const file = join(temporaryFolder(), 'rows.jsonl');
  const run = join(temporaryFolder(), 'run');
  for (const [row, message] of [
    [{ text: 'a film' }, /learns which word stands in the place of a mask.*this row is \{"text"\}/],
    [{ messages: [{ role: 'user', content: 'a' }] }, /in the place of a mask/],
    [{ prompt: 'It was', completion: ' great' }, /rows\.jsonl:1: the prompt has 0 masks \(<mask>\); expected one/],
  ] as const) {
    writeFileSync(file, JSON.stringify(row));
    const { code, errors } = await subzero('train', '--model', model.directory, '--data', file, '--out', run);
    expect(code).not.toBe(0);
    expect(errors).toMatch(message);
  }
  const task = await subzero('eval', '--model', model.directory, '--task', 'copa', '--data', data);
  expect(task.errors).toMatch(/task copa has no prompts for masked language models; those that have are sst2, rte, /);
}, 120_000);
