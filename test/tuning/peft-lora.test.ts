/** LoRA adapters as PEFT saves them, against its float64 logits (test/reference/peft_adapters.py). */

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel, readConfigurationFile } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { AppliedAdapter } from '../../src/tuning/applied-adapter.ts';
import { readPeftConfig } from '../../src/tuning/peft-config.ts';
import { readPeftLora } from '../../src/tuning/peft-lora.ts';
import { relativeError } from '../support/zo/compare.ts';
import { modelDirectory, readFixture } from '../support/zo/golden.ts';
import { removeTemporary, tinyModel } from '../train/tiny.ts';

interface Fixture {
  base: string;
  ids: number[][];
  last_logits: number[][];
}

const adapters = fileURLToPath(new URL('../fixtures/peft-adapters', import.meta.url));
const names = readdirSync(adapters, { withFileTypes: true })
  .flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
  .sort();
const temporary = mkdtempSync(join(tmpdir(), 'subzero-peft-'));

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => {
  gpu.close();
  removeTemporary();
  rmSync(temporary, { recursive: true, force: true });
});

test.each(names.filter((name) => !name.startsWith('refused')))('%s', async (name) => {
  const { base, ids, last_logits: expected } = readFixture<Fixture>(`peft-adapters/${name}/logits.json`);
  const model = await loadModel(gpu, modelDirectory(base), { storage: 'f32' });
  const adapter = new AppliedAdapter(model, await readPeftLora(join(adapters, name), model.decoder));
  for (const [index, tokens] of ids.entries()) {
    const logits = await sequenceLogits(model, tokens, adapter.probes);
    expect(relativeError(logits.at(-1)!, expected[index]!)).toBeLessThan(2e-5);
    const without = await sequenceLogits(model, tokens);
    expect(relativeError(without.at(-1)!, expected[index]!)).toBeGreaterThan(1e-2);
  }
  adapter.destroy();
  model.destroy();
});

describe('is refused by name', () => {
  const readFor = async (directory: string, base: string): Promise<unknown> =>
    readPeftLora(directory, await readConfigurationFile(modelDirectory(base)));

  test.each([
    ['refused-embedding', 'llama-tiny', /embed_tokens.* is a part of model\.embed_tokens; only pairs/],
    ['refused-head', 'qwen3-odd-tiny', /lm_head.* is a part of lm_head; only pairs/],
    ['refused-modules', 'llama-tiny', /"modules_to_save" asks for whole modules in the place of those of the model/],
    ['refused-bias', 'opt-tiny-f32', /"lora_bias" asks for biases beside the pairs/],
  ])('%s', async (name, base, message) => {
    await expect(readFor(join(adapters, name), base)).rejects.toThrow(message);
    await expect(readFor(join(adapters, name), base)).rejects.toMatchObject({ code: 'unsupported' });
  });

  test('an adapter of another model', async () => {
    const widths =
      /does not belong to this model: .*q_proj.* has shape \[4, \d+\], expected \[4, \d+\] \(it was made for "llama-tiny"\)/;
    await expect(readFor(join(adapters, 'all-linear'), 'mistral-tiny').then(() => 'read')).resolves.toBe('read');
    await expect(readFor(join(adapters, 'all-linear'), 'qwen3-odd-tiny')).rejects.toThrow(widths);
    await expect(readFor(join(adapters, 'all-linear'), 'opt-tiny')).rejects.toThrow(
      /does not belong to this model: the model has no layer for base_model\.model\.model\.layers\.0\./,
    );
    await expect(readFor(modelDirectory('llama-tiny'), 'llama-tiny')).rejects.toThrow('is not a PEFT adapter');
  });

  const changed = (change: Record<string, unknown>, from = 'all-linear'): string => {
    const directory = mkdtempSync(join(temporary, 'adapter-'));
    cpSync(join(adapters, from), directory, { recursive: true });
    const file = join(directory, 'adapter_config.json');
    const config = { ...JSON.parse(readFileSync(file, 'utf8')), ...change };
    writeFileSync(file, JSON.stringify(config));
    return directory;
  };

  test.each<[Record<string, unknown>, RegExp]>([
    [{ peft_type: 'IA3' }, /"peft_type" is "IA3"; only LORA adapters are applied/],
    [{ task_type: 'SEQ_CLS' }, /"task_type" is "SEQ_CLS"; expected CAUSAL_LM/],
    [{ bias: 'all' }, /"bias" is "all"/],
    [
      { init_lora_weights: 'pissa_niter_4' },
      /"init_lora_weights" is "pissa_niter_4", which changes the model's weights/,
    ],
    [{ target_parameters: ['experts.w'] }, /"target_parameters" asks for pairs beside parameters/],
    [{ use_something_new: true }, /"use_something_new" is a key whose effect is not known/],
    [{ target_modules: '(' }, /"target_modules" has an expression that JavaScript does not read/],
    [{ use_dora: true }, /it has no .*\.lora_magnitude_vector, which its adapter_config\.json names/],
    [{ r: 0 }, /"r" must be a whole number above 0; got 0/],
    [{ r: 3 }, /lora_A\.weight has shape \[4, \d+\], expected \[3, \d+\]/],
    [
      { target_modules: ['q_proj'] },
      /it has a pair for model\.layers\.0\..*, which its adapter_config\.json does not name/,
    ],
    [{ target_modules: [] }, /"target_modules" names no layer/],
  ])('%j', async (change, message) => {
    await expect(readFor(changed(change), 'llama-tiny')).rejects.toThrow(message);
  });

  test('magnitudes of a DoRA that is none', async () => {
    await expect(readFor(changed({ use_dora: false }, 'dora-llama'), 'llama-tiny')).rejects.toThrow(
      /lora_magnitude_vector" is a magnitude of DoRA, and "use_dora"/,
    );
  });

  test('tensors that its configuration promises and the file lacks', async () => {
    const directory = changed({ target_modules: ['v_proj', 'out_proj', 'fc2', 'fc1'] }, 'half');
    await expect(readFor(directory, 'opt-odd-tiny')).rejects.toThrow(
      /it has no model\.decoder\.layers\.0\.fc1\.lora_A\.weight, which its adapter_config\.json names/,
    );
    rmSync(join(directory, 'adapter_model.safetensors'));
    writeFileSync(join(directory, 'adapter_model.bin'), 'x');
    await expect(readFor(directory, 'opt-odd-tiny')).rejects.toThrow(
      /holds adapter_model\.bin and no adapter_model\.safetensors/,
    );
  });
});

test('keys without effect change nothing', () => {
  const config = {
    peft_type: 'LORA',
    target_modules: ['a'],
    r: 4,
    lora_alpha: 8,
    new_key: null,
    other: [],
    third: false,
  };
  const { rankOf, scaleOf, targets } = readPeftConfig({ ...config, lora_dropout: 0.1, inference_mode: true }, 'x');
  expect([rankOf('a'), scaleOf('a'), targets('b.a'), targets('ba')]).toEqual([4, 2, true, false]);
});

describe('in the engine', () => {
  test('several adapters share their base, and each is itself', async () => {
    const engine = new LocalEngine(gpu);
    const path = tinyModel('llama-tiny');
    const lora = join(adapters, 'all-linear');
    const other = mkdtempSync(join(temporary, 'other-'));
    cpSync(lora, other, { recursive: true });
    const file = join(other, 'adapter_config.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"lora_alpha": 6', '"lora_alpha": -60'));
    await engine.loadModel({ id: 'base', path });
    const before = gpu.memory.report().byCategory.weights!;
    await engine.loadModel({ id: 'one', path, lora });
    const two = await engine.loadModel({ id: 'two', path, lora: other });
    expect(gpu.memory.report().byCategory.weights).toBe(before);
    expect(two).toMatchObject({ kind: 'base', lora: other, sharesWeightsWith: ['base', 'one'] });
    const embed = async (model: string) =>
      (await engine.embed({ model, inputs: [[5, 6, 7]], pooling: 'last' })).vectors[0]!;
    const alone = [await embed('base'), await embed('one'), await embed('two')];
    expect(relativeError(alone[0]!, alone[1]!)).toBeGreaterThan(1e-2);
    expect(relativeError(alone[1]!, alone[2]!)).toBeGreaterThan(1e-2);
    expect(await Promise.all(['base', 'one', 'two'].map(embed))).toEqual(alone);
    await expect(engine.loadModel({ id: 'one', path })).rejects.toThrow('the name "one" is taken');
    await expect(engine.createRun({ id: 'run', model: 'one', configuration: {} })).rejects.toThrow(
      '"one" is a model with the adapter',
    );
    await engine.unloadModel('base');
    await engine.unloadModel('one');
    expect(await embed('two')).toEqual(alone[2]);
    const state = gpu.memory.report().byCategory.state!;
    await engine.unloadModel('two');
    expect(gpu.memory.report().byCategory.state).toBeLessThan(state);
    expect(gpu.memory.report().byCategory.weights ?? 0).toBeLessThan(before);
    await expect(engine.loadModel({ id: 'x', path, lora: join(adapters, 'expression') })).rejects.toThrow(
      'does not belong',
    );
    expect(gpu.memory.report().byCategory.weights ?? 0).toBeLessThan(before);
  });
});
