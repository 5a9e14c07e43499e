/** Whole runs on a base that cannot be written: folders, resuming, serving, forks and exports. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { bytesToF32, openSafetensors } from '../../src/safetensors/index.ts';
import { shapeOf } from '../../src/tensor/weight.ts';
import { restoreRun } from '../../src/train/run.ts';
import type { SubZero } from '../../src/zo/subzero.ts';
import { modelBytes, snapshot, weightValues, withBank } from '../support/zo/weights.ts';
import {
  collect,
  journalOf,
  ofType,
  optionRows,
  quick,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  trainUpTo,
  writeRows,
} from './tiny.ts';

let gpu: Gpu;
let engine: LocalEngine;
let request: { model: string; file: string };
beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  request = { model: tinyModel('llama-tiny'), file: writeRows(optionRows()) };
});
afterAll(() => {
  removeTemporary();
  gpu.close();
});

/** Only the last matrix of each feed-forward layer of the tiny model has rows of whole blocks. */
const settings = { storage: 'q8', bankRank: 6, refresh: 4 } as const;
const tokens = [3, 7, 1, 20, 5, 9, 40, 2, 2];

const bitsOf = async (run: string, step?: number): Promise<Record<string, string>> => {
  const restored = await restoreRun(gpu, run, step === undefined ? {} : { step });
  const bits = await snapshot(restored.model, restored.optimizer);
  restored.optimizer.destroy();
  restored.model.destroy();
  return bits;
};

const records = (run: string) => readFileSync(join(run, 'journal.subzero'));

test('a run says what it is, tells what its bank dropped, and goes on to the same bits', async () => {
  const whole = await trainUpTo(engine, request, settings);
  const header = (await journalOf(whole.run)).header;
  expect(header.configuration).toMatchObject({ storage: 'q8', change: 'bank', bankRank: 6 });
  const shares = ofType(whole.events, 'step').map(({ droppedShare }) => droppedShare);
  expect(shares.slice(0, 4)).toEqual([undefined, undefined, undefined, undefined]);
  expect(shares[4]).toBe(0);
  expect(shares.at(-1)).toBeGreaterThan(0);
  const metrics = readFileSync(join(whole.run, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(metrics.at(-1).droppedShare).toBe(shares.at(-1));
  expect(ofType(whole.events, 'message').at(-1)!.message).toMatch(/of the change has been dropped to keep it/);
  // At the end of a period, where its change is not banked yet, and within one.
  for (const stop of [4, 8, 10]) {
    const { run } = await trainUpTo(engine, request, settings, stop);
    await collect(engine.train({ resume: run }));
    expect(records(run).equals(records(whole.run)), `stopped after ${stop}`).toBe(true);
    expect(await bitsOf(run)).toEqual(await bitsOf(whole.run));
  }
  const fork = join(temporaryFolder(), 'fork');
  await collect(engine.train({ fork: whole.run, step: 8, configuration: { steps: 12 }, out: fork }));
  expect(await bitsOf(fork)).toEqual(await bitsOf(whole.run));
});

test('runs and their base share one copy of the weights, whatever their steps', async () => {
  const { run } = await trainUpTo(engine, request, settings);
  await engine.loadModel({ id: 'base', path: request.model, storage: 'q8' });
  const loaded = await engine.loadModel({ id: 'run', path: run });
  expect(loaded.sharesWeightsWith).toEqual(['base']);
  await engine.unloadModel('run');
  await engine.unloadModel('base');
});

test('a run made step by step begins its periods alike, and replays to the same loss', async () => {
  const data = optionRows(4)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const configuration = { ...quick, ...settings };
  await engine.createRun({ id: 'live', model: request.model, configuration });
  const records = [];
  for (let step = 0; step < 10; step++) records.push((await engine.stepRun('live', data)).record);
  const { loss } = await engine.forwardRun('live', data);
  // With given numbers one by one, and all at once.
  await engine.createRun({ id: 'applied', model: request.model, configuration });
  for (const record of records) await engine.applyRun('applied', record);
  expect((await engine.forwardRun('applied', data)).loss).toBe(loss);
  await engine.createRun({ id: 'replayed', model: request.model, configuration });
  await engine.replayRun('replayed', records);
  expect((await engine.forwardRun('replayed', data)).loss).toBe(loss);
  for (const id of ['live', 'applied', 'replayed']) await engine.unloadModel(id);
});

test('exports are the run: merged in 16 bits, and as an adapter of the rank of bank and period', async () => {
  const { run } = await trainUpTo(engine, request, settings);
  const { model, optimizer } = await restoreRun(gpu, run);
  const logits = await sequenceLogits(model, tokens, optimizer.current);
  const changed = new Map<string, Float64Array>();
  const change = new Map<string, Float64Array>();
  for (const weight of model.weights.values()) {
    const base = await weightValues(model, weight);
    changed.set(weight.name, (await withBank(optimizer as SubZero, weight, base))!);
    change.set(weight.name, (await withBank(optimizer as SubZero, weight, new Float32Array(base.length)))!);
  }
  const bytes = await modelBytes(model);
  const merged = join(temporaryFolder(), 'merged');
  await engine.exportRun({ run, format: 'safetensors', out: merged });
  const file = await openSafetensors(join(merged, 'model.safetensors'));
  for (const [name, expected] of changed) {
    const { dtype } = file.tensors.get(name)!;
    expect(dtype).toBe(model.weight(name).storage === 'q8' ? 'F16' : 'F32');
    const written = bytesToF32(dtype, await file.read(name));
    for (const [index, value] of written.entries()) {
      expect(Math.abs(value - expected[index]!)).toBeLessThan(dtype === 'F16' ? 1e-3 : 1e-6);
    }
  }
  await file.close();
  const again = await loadModel(gpu, merged);
  for (const [sequence, rows] of (await sequenceLogits(again, tokens)).entries()) {
    for (const [index, value] of rows.entries()) expect(Math.abs(value - logits[sequence]![index]!)).toBeLessThan(1e-2);
  }
  again.destroy();
  const out = join(temporaryFolder(), 'adapter');
  await engine.exportRun({ run, format: 'peft', out });
  const adapter = await openSafetensors(join(out, 'adapter_model.safetensors'));
  const name = 'model.layers.1.mlp.down_proj.weight';
  const [rows, columns] = shapeOf(model.weight(name));
  const of = async (which: string) => {
    const stored = [...adapter.tensors.keys()].find(
      (key) => key.includes('layers.1.mlp.down_proj') && key.includes(which),
    )!;
    return bytesToF32('F32', await adapter.read(stored));
  };
  const [a, b] = [await of('lora_A'), await of('lora_B')];
  expect(a.length).toBe(10 * columns);
  for (let index = 0; index < rows * columns; index++) {
    let sum = 0;
    for (let k = 0; k < 10; k++) sum += b[Math.floor(index / columns) * 10 + k]! * a[k * columns + (index % columns)]!;
    expect(Math.abs(sum - change.get(name)![index]!)).toBeLessThan(1e-6);
  }
  await adapter.close();
  expect(await modelBytes(model)).toEqual(bytes);
  optimizer.destroy();
  model.destroy();
});
