/** Training models with experts: plans, journals, schemes, exports, and texts beside each other. */

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { openModelWeights } from '../../src/safetensors/index.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { writeLetters } from '../support/letters.ts';
import { tokens, trainableCheckpoints } from './checkpoints.ts';
import { difference, logitsOfModel, logitsOfRun, shapesOf } from './logits.ts';
import { collect, temporaryFolder, trainUpTo, writeRows } from './tiny.ts';

const models = trainableCheckpoints({
  'qwen3 moe': 'qwen3_moe: nothing but sizes',
  'gpt-oss': 'gpt_oss: nothing but sizes',
});
const { engine, folders, gpu, train } = models;

describe.each(models.names)('%s', (name) => {
  test.each([{ optimizer: 'subzero' }, { optimizer: 'mezo' }] as Partial<TrainConfiguration>[])(
    'takes what its plan says: %o',
    (configuration) => models.expectPlanHolds(name, configuration),
  );

  test('goes on from its journal to the same bits', () => models.expectSameBitsAfterResume(name, 7, 5));

  test('is exported in the layout that it came in', async () => {
    const run = await train(name, { steps: 7, storage: 'f32', learningRate: 1e-2 });
    expect(await models.changeOf(name, run)).toBeGreaterThan(1e-4);
    const out = await models.exportedAsIs(run);
    expect(await shapesOf(out)).toEqual(await shapesOf(folders[name]));
  });

  test('trains pairs beside attention, and refuses those that PEFT would not find', async () => {
    const run = await train(name, { scheme: 'lora', steps: 3, storage: 'f32', learningRate: 1e-2 });
    await models.exportedAsIs(run);
    const [router, part] = name === 'gpt-oss' ? ['router', 'gate_up_proj.1'] : ['gate', 'gate_proj'];
    for (const target of [router, part]) {
      const refused = train(name, { scheme: 'lora', loraTargets: [target] });
      await expect(refused).rejects.toThrow(/no pair can stand: PEFT does not find it by this name/);
    }
  });

  test.each(['prompt', 'prefix'] as const)('trains virtual tokens: %s', async (scheme) => {
    const run = await train(name, { scheme, virtualTokens: 3, steps: 3, learningRate: 1e-1 });
    expect(await models.changeOf(name, run)).toBeGreaterThan(1e-5);
  });

  test('gives a text the same bits whatever is beside it', async () => {
    const model = await loadModel(gpu(), folders[name]);
    const scores = async (texts: number[][]): Promise<Float32Array[]> => {
      const found: Float32Array[] = [];
      for (const text of texts) found.push((await sequenceLogits(model, text)).at(-1)!);
      return found;
    };
    const [long] = await scores([tokens]);
    const [short] = await scores([tokens.slice(0, 5)]);
    const rows = await sequenceLogits(model, tokens);
    expect(rows.at(-1)).toEqual(long);
    if (gpu().kernelStyle === 'software') expect(rows[4]).toEqual(short);
    model.destroy();
  });
});

describe('experts in MXFP4, which cannot be written', () => {
  const published = fileURLToPath(new URL('../fixtures/quantized/mxfp4', import.meta.url));
  let model: string;
  let letterFile: string;
  beforeAll(() => {
    model = join(temporaryFolder(), 'mxfp4');
    cpSync(published, model, { recursive: true });
    writeLetters(model);
    const row = (i: number) => ({ prompt: textOf(9, i), options: [textOf(1, 2 * i), textOf(4, 3 * i)], label: i % 2 });
    letterFile = writeRows(Array.from({ length: 12 }, (_, i) => `${JSON.stringify(row(i))}\n`).join(''));
  });

  const textOf = (count: number, seed: number): string =>
    String.fromCharCode(...Array.from({ length: count }, (_, i) => 65 + ((seed + 7 * i) % 48)));

  const trained = async (configuration: Partial<TrainConfiguration>, stopAfter?: number): Promise<string> =>
    (await trainUpTo(engine(), { model, file: letterFile }, { learningRate: 1e-2, ...configuration }, stopAfter)).run;

  test('SubZero trains beside them through a bank, and goes on from its journal to the same bits', async () => {
    const whole = await trained({ steps: 6 });
    const interrupted = await trained({ steps: 6 }, 5);
    await collect(engine().train({ resume: interrupted }));
    const own = await logitsOfRun(gpu(), whole, tokens);
    expect(await logitsOfRun(gpu(), interrupted, tokens)).toEqual(own);
    expect(difference(own, await logitsOfModel(gpu(), model, tokens))).toBeGreaterThan(1e-4);
  });

  test('what SubZero trained is exported in 16 bits, in the layout of such files, and as GGUF', async () => {
    const run = await trained({ steps: 4 });
    const own = await logitsOfRun(gpu(), run, tokens);
    const out = join(temporaryFolder(), 'out');
    await engine().exportRun({ run, format: 'safetensors', out });
    const source = await openModelWeights(out);
    expect(source.tensors.get('model.layers.0.mlp.experts.gate_up_proj')).toMatchObject({
      ...{ dtype: 'BF16', shape: [4, 64, 128] },
    });
    await source.close();
    // Sums are rounded to 8 bits.
    expect(difference(own, await logitsOfModel(gpu(), out, tokens))).toBeLessThan(0.05);
    const gguf = join(temporaryFolder(), 'out.gguf');
    await engine().exportRun({ run, format: 'gguf', storage: 'f32', out: gguf });
    expect(difference(own, await logitsOfModel(gpu(), gguf, tokens))).toBeLessThan(1e-4);
    expect(difference(own, await logitsOfModel(gpu(), model, tokens))).toBeGreaterThan(1e-3);
  });

  test('an adapter of llama.cpp is refused by the name of the matrix', async () => {
    const run = await trained({ steps: 2, parameters: ['*.experts.*_proj.*'] });
    const pairs = engine().exportRun({ run, format: 'gguf-lora', out: join(temporaryFolder(), 'lora.gguf') });
    await expect(pairs).rejects.toThrow(
      /"model\.layers\.0\.mlp\.experts\.gate_up_proj\.0" is one of the matrices of exp/,
    );
  });

  test('LoRA stands beside attention', async () => {
    const run = await trained({ scheme: 'lora', steps: 3 });
    expect(
      difference(await logitsOfRun(gpu(), run, tokens), await logitsOfModel(gpu(), model, tokens)),
    ).toBeGreaterThan(1e-5);
  });

  test('MeZO is refused by the name of the matrix', async () => {
    await expect(trained({ optimizer: 'mezo', steps: 3 })).rejects.toThrow(
      /mezo writes the weights .*model\.layers\.0\.mlp\.experts\.gate_up_proj\.0 is stored as mxfp4/,
    );
  });

  test('generates', async () => {
    await engine().loadModel({ id: 'mxfp4', path: model });
    const ids: number[] = [];
    for await (const event of engine().generate({ model: 'mxfp4', prompt: 'ABBA', maxTokens: 6, temperature: 0 })) {
      if (event.type === 'token') ids.push(event.id);
    }
    expect(ids).toHaveLength(6);
    await engine().unloadModel('mxfp4');
  });
});
