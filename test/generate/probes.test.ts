/**
 * Texts of several probes in the same passes: to the bit what each probe generates by itself, whatever lengths the
 * others have.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Generator } from '../../src/generate/generator.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import type { Probes } from '../../src/ops/probes.ts';
import { resolveConfiguration } from '../../src/settings/configuration.ts';
import { loadTokenizer } from '../../src/tokenizer/index.ts';
import { createOptimizer } from '../../src/zo/create-optimizer.ts';
import { withSeed } from '../support/random.ts';
import { removeTemporary, tinyModel } from '../train/tiny.ts';
import { directoryOf, far, type Made, makeAll, probedModels, type Text } from './texts.ts';

let gpu: Gpu;
let folder: string;
beforeAll(async () => {
  gpu = await Gpu.open();
  folder = mkdtempSync(join(tmpdir(), 'subzero-probes-'));
});
afterAll(() => {
  gpu.close();
  rmSync(folder, { recursive: true, force: true });
  removeTemporary();
});

describe.each(probedModels)('%s', (_, name, settings) => {
  test('are generated under several probes as under each alone', () =>
    withSeed(name, async (random) => {
      const directory = await directoryOf(name, folder);
      const model = await loadModel(gpu, directory);
      const tokenizer = await loadTokenizer(directory);
      const optimizer = await createOptimizer(model, resolveConfiguration({ ...far, ...settings }));
      const { vocabularySize } = model.decoder;
      const whole = (below: number): number => Math.floor(random.uniform() * below);
      // Probes have different numbers of texts, one of them a single one, and texts end at different places.
      const texts = [0, 1, 2, 3].flatMap((probe) =>
        Array.from({ length: [3, 1, 4, 2][probe]! }, (): Text => {
          const prompt = Array.from({ length: 1 + whole(12) }, () => 1 + whole(Math.min(vocabularySize, 97) - 1));
          return { prompt, maxTokens: 1 + whole(12), temperature: whole(2), seed: whole(1000), probe };
        }),
      );
      optimizer.beginStep(0);
      const alone = new Map<Text, Made>();
      for (let probe = 0; probe < optimizer.probeCount; probe++) {
        const own = texts.filter((text) => text.probe === probe);
        const made = await makeAll(
          model,
          tokenizer,
          optimizer.perturb(0, probe, 1),
          own.map((text) => ({ ...text, probe: 0 })),
        );
        for (const [index, text] of own.entries()) alone.set(text, made[index]!);
      }
      const together = await makeAll(model, tokenizer, optimizer.perturb(0), texts);
      expect(optimizer.probeCount).toBe(4);
      expect(together).toEqual(texts.map((text) => alone.get(text)));
      // The probes differ, so that texts of the wrong one would be seen.
      const [first] = texts;
      const ofProbes = await makeAll(
        model,
        tokenizer,
        optimizer.perturb(0),
        [0, 1, 2, 3].map((probe) => ({ ...first!, probe })),
      );
      expect(new Set(ofProbes.map(({ logprobs }) => logprobs[0])).size).toBe(4);
      optimizer.destroy();
      model.destroy();
    }));
});

test('the logits of a pass fit one binding, however many texts want theirs', async () => {
  const limited = await Gpu.open({ maxStorageBufferBindingSize: 64 * 1024 });
  const directory = fileURLToPath(new URL('../fixtures/models/tinystories-656k', import.meta.url));
  const model = await loadModel(limited, directory);
  const optimizer = await createOptimizer(model, resolveConfiguration({ ...far, queries: 1 }));
  const tokenizer = await loadTokenizer(directory);
  optimizer.beginStep(0);
  // Eight rows of logits fit; prompts of one token have nothing else to read.
  const prompts = Array.from({ length: 12 }, (_, index) => Array.from({ length: 1 + (index % 3) }, (_, i) => 5 + i));
  const generated = async (probes: Probes, wanted: readonly number[]): Promise<number[][]> => {
    const generator = new Generator(model, tokenizer, () => probes, probes.count > 1);
    const made = await Promise.all(
      wanted.map(async (index) => {
        const ids: number[] = [];
        const request = { maxTokens: 4, temperature: 1, seed: index };
        const text = { adapters: [], users: [], probe: index % probes.count };
        for await (const event of generator.generate(request, prompts[index]!, undefined, text)) {
          if (event.type === 'token') ids.push(event.id);
        }
        return ids;
      }),
    );
    await generator.destroy();
    return made;
  };
  const all = [...prompts.keys()];
  const allocate = vi.spyOn(limited, 'allocate');
  const alone: number[][][] = [];
  for (const probe of [0, 1]) {
    const made: number[][] = [];
    for (const index of all.filter((each) => each % 2 === probe)) {
      made.push(...(await generated(optimizer.perturb(0, probe, 1), [index])));
    }
    alone.push(made);
  }
  const together = await generated(optimizer.perturb(0), all);
  for (const probe of [0, 1]) expect(together.filter((_, index) => index % 2 === probe)).toEqual(alone[probe]);
  // One state serves all of them here.
  const many = await generated(optimizer.perturb(0, 0, 1), all);
  for (const index of all.filter((each) => each % 2 === 0)) expect(many[index]).toEqual(together[index]);
  const logits = allocate.mock.calls.filter(([, , label]) => label === 'logits').map(([bytes]) => bytes);
  expect(Math.max(...logits)).toBe(64 * 1024);
  optimizer.destroy();
  model.destroy();
  limited.close();
}, 30_000);

test('more probes than a pass has rows for go on to the last text', async () => {
  const directory = tinyModel();
  const model = await loadModel(gpu, directory);
  const settings = { optimizer: 'hizoo', queries: 128, epsilon: 0.05, seed: 9 } as const;
  const optimizer = await createOptimizer(model, resolveConfiguration(settings));
  optimizer.beginStep(0);
  const probes = optimizer.perturb(0);
  expect(probes.count).toBe(257);
  const generator = new Generator(model, await loadTokenizer(directory), () => probes, true);
  // All probes begin, and one goes on.
  const lengths = Array.from({ length: probes.count }, async (_, probe) => {
    let length = 0;
    const request = { maxTokens: probe === 3 ? 4 : 1, temperature: 0, stopTokenIds: [] };
    for await (const event of generator.generate(request, [1, 2], undefined, { adapters: [], users: [], probe })) {
      if (event.type === 'token') length++;
    }
    return length;
  });
  expect((await Promise.all(lengths))[3]).toBeGreaterThan(1);
  await generator.destroy();
  optimizer.destroy();
  model.destroy();
}, 30_000);

test('what has a meaning under one probe alone is refused under several', async () => {
  const directory = tinyModel();
  const model = await loadModel(gpu, directory);
  const optimizer = await createOptimizer(model, resolveConfiguration(far));
  optimizer.beginStep(0);
  const probes = optimizer.perturb(0);
  const generator = new Generator(model, await loadTokenizer(directory), () => probes, true);
  const scoring = generator.generate({ maxTokens: 1, scorePrompt: true }, [1, 2]);
  await expect(scoring.next()).rejects.toThrow(/under one probe alone/);
  await generator.destroy();
  optimizer.destroy();
  model.destroy();
});
