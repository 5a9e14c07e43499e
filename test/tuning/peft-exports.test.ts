/**
 * Two steps of LoRA beside the usual layers of every supported type: the pairs that are exported read as the run's
 * logits.
 *
 * With SUBZERO_PEFT_EXPORTS=FOLDER the models, adapters (of full training too) and logits are kept there, for
 * test/reference/peft_exports.py to load with PEFT itself.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { makeFolders } from '../../src/make-folders.ts';
import { supportedArchitectures } from '../../src/model/configuration.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import type { Model } from '../../src/model/model.ts';
import { loraPeft } from '../../src/train/export-lora.ts';
import { factoredPeft } from '../../src/train/export-peft.ts';
import { writePeft } from '../../src/train/peft.ts';
import type { RestoredRun } from '../../src/train/run.ts';
import { AppliedAdapter } from '../../src/tuning/applied-adapter.ts';
import { loraLayers } from '../../src/tuning/lora.ts';
import { readPeftLora } from '../../src/tuning/peft-lora.ts';
import type { SubZero } from '../../src/zo/subzero.ts';
import { isMasked, type Parity, promptOf, textConfig, writeCheckpoint } from '../parity/checkpoint.ts';
import { maskedExample, optionsExample } from '../support/zo/golden.ts';
import { liveStep } from '../support/zo/live.ts';
import { type Session, type SessionSettings, withOptimizer } from '../support/zo/session.ts';
import { difference } from '../train/logits.ts';

const { cases } = JSON.parse(readFileSync(new URL('../parity/parity.json', import.meta.url), 'utf8')) as Parity;
const kept = process.env.SUBZERO_PEFT_EXPORTS;
const folder = kept ?? mkdtempSync(join(tmpdir(), 'subzero-peft-exports-'));
const quick = { loraRank: 4, loraAlpha: 8, rank: 3, refresh: 100, learningRate: 0.03, epsilon: 1e-2, seed: 3 };

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => {
  gpu.close();
  if (!kept) rmSync(folder, { recursive: true, force: true });
});

const families = [
  ...[...supportedArchitectures].map(
    (type) => cases.find(({ config, prompts }) => config.model_type === type && prompts)!,
  ),
  cases.find(({ name }) => name === 'gemma4_text: experts, shared keys, wide')!,
];

test.each(families)('$name', async (parity) => {
  const directory = join(folder, parity.name.replaceAll(/\W+/g, '-'));
  await writeCheckpoint(directory, parity);
  const { vocab_size: vocabulary } = textConfig(parity);
  const text = (length: number) => promptOf(length, { ...parity.config, vocab_size: vocabulary });
  const examples = [
    isMasked(parity) ? maskedExample(text(6), 3, [3, 5, 4], 1) : optionsExample(text(7), [text(2), text(3)], 1),
  ];
  const ids = text(12);

  const trained = (settings: Partial<SessionSettings>, body: (session: Session) => Promise<void>) =>
    withOptimizer(gpu, { ...quick, ...settings, model: directory }, async (session) => {
      for (const step of [0, 1]) {
        const { losses } = await liveStep(session, examples, step);
        expect(losses.every(Number.isFinite)).toBe(true);
      }
      await body(session);
    });
  const logitsOf = async ({ model, optimizer }: Session) => await sequenceLogits(model, ids, optimizer.current);
  const write = async (name: string, session: Session, make: () => Promise<Parameters<typeof writePeft>[0]>) => {
    const out = join(directory, name);
    await makeFolders(out);
    try {
      await writePeft(await make(), directory, out, null);
    } catch (error) {
      // What no adapter can say is refused.
      if (error instanceof SubzeroError && error.code === 'unsupported' && name !== 'usual') return out;
      throw error;
    }
    if (kept) {
      const rows = (await logitsOf(session)).map((row) => [...row]);
      writeFileSync(join(out, 'logits.json'), JSON.stringify({ ids, rows, base: await baseRows(session.model) }));
    }
    return out;
  };
  const baseRows = async (model: Model) => (await sequenceLogits(model, ids)).map((row) => [...row]);
  const pairs = async (session: Session) =>
    loraPeft(session.optimizer.current.adapter!.lora!, session.model, await session.optimizer.adapterValues());

  await trained({ scheme: 'lora' }, async (session) => {
    const { model } = session;
    const out = await write('usual', session, () => pairs(session));
    const own = await logitsOf(session);
    expect(difference(own, await sequenceLogits(model, ids))).toBeGreaterThan(1e-5);
    const adapter = new AppliedAdapter(model, await readPeftLora(out, model.decoder));
    expect(difference(own, await sequenceLogits(model, ids, adapter.probes))).toBeLessThan(1e-6);
    adapter.destroy();
    if (!kept) return;
    const loraTargets = loraLayers(model.decoder).map(({ name }) => name);
    await trained({ scheme: 'lora', loraTargets }, async (other) => {
      await write('all', other, () => pairs(other));
    });
    await trained({}, async (other) => {
      await write('full', other, () => factoredPeft(other as unknown as RestoredRun, other.optimizer as SubZero));
    });
    // Matrices and norms that PEFT has names for.
    const parameters = [...loraLayers(model.decoder).map(({ weight }) => weight)];
    await trained({ parameters }, async (other) => {
      await write('linear', other, () => factoredPeft(other as unknown as RestoredRun, other.optimizer as SubZero));
    });
  });
});
