/**
 * What every scheme promises under every optimiser, on models of random shapes with random settings (ranks above the
 * sides of a tensor, odd numbers of virtual tokens): probes in one pass = one by one, a replay in any pieces makes the
 * bits of the live run, the model keeps its bits.
 */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { leadingTokens, withLeading } from '../../src/model/virtual-tokens.ts';
import { batchLoss } from '../../src/objectives/loss.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import type { SchemeName } from '../../src/settings/schemes.ts';
import type { AppliedStep } from '../../src/zo/optimizer.ts';
import { withSeed } from '../support/random.ts';
import { optionsExample } from '../support/zo/golden.ts';
import { liveStep } from '../support/zo/live.ts';
import { otherBones, writeRandomModel } from '../support/zo/random-model.ts';
import { randomSettings } from '../support/zo/random-settings.ts';
import { withOptimizer } from '../support/zo/session.ts';
import { storedBytes } from '../support/zo/weights.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

const methods: Partial<TrainConfiguration>[] = [
  { optimizer: 'subzero' },
  { optimizer: 'subzero-plus' },
  { optimizer: 'mezo' },
  { optimizer: 'mezo', mezoUpdate: 'adam' },
  { optimizer: 'sparse-mezo' },
  { optimizer: 'hizoo' },
];
/** Layers to put a pair beside, by model type. */
const targets: Record<string, string[][]> = {
  llama: [
    ['gate_proj', 'o_proj'],
    ['down_proj', 'k_proj', 'up_proj'],
  ],
  phi3: [['gate_up_proj', 'qkv_proj'], ['down_proj']],
  gpt2: [['c_attn', 'c_fc'], ['c_proj']],
  apertus: [
    ['up_proj', 'o_proj'],
    ['down_proj', 'k_proj'],
  ],
  bloom: [['query_key_value', 'dense_h_to_4h'], ['dense']],
  mpt: [['Wqkv', 'down_proj'], ['out_proj']],
  gpt_neox: [['query_key_value', 'dense_h_to_4h'], ['dense']],
  phi: [['fc1', 'dense'], ['q_proj']],
};
const schemes = ['lora', 'prompt', 'prefix'] satisfies SchemeName[];
const steps = 5;

test.each(
  schemes.flatMap((scheme) => methods.map((method) => ({ scheme, method, name: Object.values(method).join(' ') }))),
)('$scheme, $name', async ({ scheme, method, name }) => {
  await withSeed(`random schemes ${scheme} ${name}`, async (random) => {
    const windowed = { model_type: 'mistral', sliding_window: random.integer(2, 9) };
    const overrides: Record<string, unknown> = random.pick([{}, {}, windowed, otherBones(random), otherBones(random)]);
    const written = await writeRandomModel(random, overrides);
    const settings = {
      ...randomSettings(random, method, { rank: 40, queries: 40 }),
      scheme,
      model: written.directory,
      loraRank: random.integer(1, 9),
      loraTargets: random.pick([[], ...(targets[String(written.config.model_type)] ?? targets.llama!)]),
      virtualTokens: random.integer(1, 9),
    };
    const vocabulary = written.config.vocab_size as number;
    const draw = (low: number, high: number) =>
      Array.from({ length: random.integer(low, high) }, () => random.integer(0, vocabulary - 1));
    const texts = Array.from({ length: 2 }, () => optionsExample(draw(1, 9), [draw(1, 3), draw(1, 3)], 0));
    const cut = random.integer(1, steps - 1);
    try {
      await withOptimizer(gpu, settings, async (session) => {
        const { model, optimizer, scorer } = session;
        const weights = [...model.weights.values()];
        const stored = async () => Promise.all(weights.map((weight) => storedBytes(model, weight)));
        const before = await stored();
        const examples = withLeading(texts, leadingTokens(model, optimizer.current));
        const journal: AppliedStep[] = [];
        for (let step = 0; step < steps; step++) {
          const { losses, applied } = await liveStep(session, examples, step);
          journal.push(applied);
          expect(losses).toHaveLength(optimizer.probeCount);
          expect(losses.every(Number.isFinite)).toBe(true);
        }
        optimizer.beginStep(steps);
        const together = await scorer.scoreStep(examples, optimizer, steps);
        for (const probe of [0, optimizer.probeCount - 1]) {
          const [alone] = await scorer.score(examples, optimizer.perturb(steps, probe, 1));
          const [one, other] = [batchLoss(examples, alone!).loss, batchLoss(examples, together[probe]!).loss];
          expect(Math.abs(one - other), `probe ${probe}`).toBeLessThan(2e-6 * (1 + Math.abs(other)));
        }
        const live = await optimizer.adapterValues();
        expect([...live.values()].every((values) => values.every(Number.isFinite))).toBe(true);
        expect(await stored()).toEqual(before);
        expect(await optimizer.vectorValues()).toEqual(new Map());

        await withOptimizer(gpu, settings, async ({ optimizer: other }) => {
          const start = await other.adapterValues();
          await other.replay(journal.slice(0, cut));
          await other.replay(journal.slice(cut));
          other.beginStep(steps);
          const replayed = await other.adapterValues();
          expect(replayed).toEqual(live);
          // Behind a sliding window virtual tokens may be out of sight of all labels: then nothing moves them.
          if ('sliding_window' in overrides) return;
          for (const [tensor, values] of start) expect(replayed.get(tensor), `${tensor} trains`).not.toEqual(values);
        });
      });
    } catch (error) {
      if (error instanceof Error) error.message += `\n${JSON.stringify({ ...settings, config: written.config })}`;
      throw error;
    } finally {
      await written.remove();
    }
  });
});
