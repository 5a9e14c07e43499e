/**
 * Tiny checkpoints of every supported kind against what transformers computes from the same folders (make_parity.py).
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { supportedArchitectures } from '../../src/model/configuration.ts';
import { isMasked, type Parity } from './checkpoint.ts';
import { compareCase, table, tolerance, type Verdict } from './compare.ts';

const { cases } = JSON.parse(readFileSync(new URL('parity.json', import.meta.url), 'utf8')) as Parity;
const verdicts: Verdict[] = [];
let gpu: Gpu;
let engine: LocalEngine;
let folder: string;
beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  folder = mkdtempSync(join(tmpdir(), 'subzero-parity-'));
});
afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
  const failed = verdicts.filter(({ agrees }, index) => agrees === (cases[index]!.pending !== undefined));
  if (failed.length > 0) process.stderr.write(`${table(failed, cases)}\n`);
});

describe('as transformers computes it', () => {
  test.each(cases)('$name', async (parity) => {
    const verdict = await compareCase(gpu, engine, join(folder, String(verdicts.length)), parity);
    verdicts.push(verdict);
    expect(verdict, table([verdict], cases)).toMatchObject({ agrees: parity.pending === undefined });
  });
});

test('every architecture has cases with numbers, and none of them is without greedy tokens', () => {
  for (const type of supportedArchitectures) {
    const own = cases.filter(({ config, prompts }) => config.model_type === type && prompts);
    expect(own.length, type).toBeGreaterThan(10);
    for (const each of own.filter((each) => !isMasked(each))) expect(each.greedy!.length, each.name).toBeGreaterThan(0);
  }
});

// The suite must see what it is for: a setting that is read a little otherwise.
test.each([
  ['llama: rope theta 500', { rope_theta: 501 }],
  ['qwen3: norm epsilon 0.01', { rms_norm_eps: 0.0099 }],
  ['mistral: window 16', { sliding_window: 17 }],
  ['mistral: window null', { sliding_window: 96 }],
  ['qwen2: window from layer 1 on', { max_window_layers: 0 }],
  ['llama: activation gelu', { hidden_act: 'gelu_new' }],
  ['opt: activation gelu', { activation_function: 'gelu_new' }],
  ['bert: norm epsilon 0.01', { layer_norm_eps: 0.0099 }],
  ['roberta: another padding token', { pad_token_id: 6 }],
  ['modernbert: windows of 8 to each side', { local_attention: 18 }],
  ['modernbert: thetas', { local_rope_theta: 49 }],
])('%s: another %o is seen', async (name, change) => {
  const parity = cases.find((each) => each.name === name)!;
  const altered = { ...parity, config: { ...parity.config, ...change } };
  const { difference } = await compareCase(gpu, engine, join(folder, `altered ${name}`), altered);
  expect(difference).toBeGreaterThan(tolerance);
});
