/** The forward pass by itself, on models of random shapes, in memory that holds NaN before. */

import { expect, test } from 'vitest';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { packTexts } from '../../src/model/batch.ts';
import { KeyValueCache } from '../../src/model/cache.ts';
import { readConfiguration } from '../../src/model/configuration.ts';
import { windowOf } from '../../src/model/decoder.ts';
import { forward, widestActivation } from '../../src/model/forward.ts';
import { logitsOf } from '../../src/model/head.ts';
import { loadModel } from '../../src/model/load.ts';
import type { Model } from '../../src/model/model.ts';
import { uploadBatch } from '../../src/model/upload-batch.ts';
import { uploadPositions } from '../../src/model/upload-positions.ts';
import { NamedBuffers } from '../../src/tensor/named-buffers.ts';
import { type Activation, Workspace } from '../../src/tensor/workspace.ts';
import { openTestGpu } from '../support/gpu.ts';
import { type Random, withSeed } from '../support/random.ts';
import { relativeError } from '../support/zo/compare.ts';
import { logits64 } from '../support/zo/float64-decoder.ts';
import { otherBones, type RandomModel, writeRandomModel } from '../support/zo/random-model.ts';

const gpu = openTestGpu();

/** Memory is written before anything that is recorded runs: what a pass reads without having written it is NaN. */
class PoisonedWorkspace extends Workspace {
  override take(rows: number, columns: number): Activation {
    const taken = super.take(rows, columns);
    taken.buffer.write(new Float32Array(taken.buffer.size / 4).fill(Number.NaN));
    return taken;
  }
}

interface Loaded extends RandomModel {
  model: Model;
  workspace: Workspace;
  buffers: NamedBuffers;
}

async function withModel(
  random: Random,
  overrides: Record<string, unknown>,
  body: (loaded: Loaded) => Promise<void>,
): Promise<void> {
  const files = await writeRandomModel(random, overrides);
  const model = await loadModel(gpu(), files.directory, { storage: 'f32' });
  const workspace = new PoisonedWorkspace(gpu());
  const buffers = new NamedBuffers(gpu());
  try {
    await body({ ...files, model, workspace, buffers });
  } catch (error) {
    if (error instanceof Error) error.message += `\n${JSON.stringify(files.config)}`;
    throw error;
  } finally {
    model.gpu.recorder.submit();
    workspace.destroy();
    buffers.destroy();
    model.destroy();
    await files.remove();
  }
}

const contextOf = ({ model, workspace }: Loaded) => {
  return { gpu: gpu() as Gpu, workspace, probes: model.plainProbes, plans: model.plans };
};

/** The logits that hidden states give, a row each; the states go back to the workspace. */
async function rowsOf(loaded: Loaded, hidden: Activation): Promise<Float32Array[]> {
  const { model, buffers, workspace } = loaded;
  const logits = logitsOf(model, contextOf(loaded), hidden, buffers);
  const width = model.decoder.vocabularySize;
  const [data] = await gpu().recorder.read([{ buffer: logits, bytes: hidden.rows * width * 4 }]);
  workspace.give(hidden);
  return Array.from({ length: hidden.rows }, (_, row) => new Float32Array(data!, row * width * 4, width).slice());
}

function drawTokens(random: Random, { config }: RandomModel, least: number, most: number): number[] {
  return Array.from({ length: random.integer(least, most) }, () =>
    random.integer(0, (config.vocab_size as number) - 1),
  );
}

const bones: [string, (random: Random) => Record<string, unknown>][] = [
  ['llama', () => ({})],
  ['window', (random) => ({ model_type: 'mistral', sliding_window: random.integer(1, 6) })],
  ['norms after', (random) => ({ model_type: 'olmo2', head_dim: 4 * random.integer(1, 3) })],
  ['others', otherBones],
];

test.each(bones)('%s: rows of several texts, in any order, against float64', async (name, overrides) => {
  await withSeed(`forward ${name}`, async (random) => {
    await withModel(random, overrides(random), async (loaded) => {
      const { model, workspace, buffers, parameters } = loaded;
      const texts = [drawTokens(random, loaded, 1, 9), drawTokens(random, loaded, 1, 20)];
      const batch = packTexts(texts, model.decoder.mask);
      const rows = texts.flatMap((text, index) =>
        text.map((_, position) => ({ index, position, row: position + (index === 1 ? texts[0]!.length : 0) })),
      );
      // Any rows, the first of them twice.
      const labels = Array.from({ length: random.integer(0, rows.length - 1) }, () => random.pick(rows));
      labels.push(labels[0] ?? rows.at(-1)!);
      workspace.reserve(batch.ids.length);
      const hidden = forward(model, contextOf(loaded), {
        ...uploadBatch(model, batch, model.plainProbes, buffers),
        labelRows: buffers.upload(
          'label rows',
          Uint32Array.from(labels, ({ row }) => row),
        ),
        labelCount: labels.length,
      });
      expect(hidden.rows).toBe(labels.length);
      const actual = await rowsOf(loaded, hidden);
      const width = model.decoder.vocabularySize;
      const expected = texts.map((text) => logits64(model.decoder, parameters, text));
      for (const [place, { index, position }] of labels.entries()) {
        const row = expected[index]!.subarray(position * width, (position + 1) * width);
        expect(relativeError(actual[place]!, row), `text ${index}, token ${position}`).toBeLessThan(2e-5);
      }
    });
  });
});

test.each(bones)('%s: a text read in two pieces through the cache', async (name, overrides) => {
  await withSeed(`cached ${name}`, async (random) => {
    await withModel(random, overrides(random), async (loaded) => {
      const { model, workspace, buffers, parameters } = loaded;
      const { decoder } = model;
      const text = drawTokens(random, loaded, 2, 20);
      const cut = random.integer(1, text.length - 1);
      const cache = new KeyValueCache(gpu(), model, 40);
      try {
        // Other sequences own the rows before.
        cache.reserve(random.integer(1, 9));
        const { start } = cache.reserve(text.length)!;
        const window = windowOf(decoder);
        const width = decoder.vocabularySize;
        const expected = logits64(decoder, parameters, text);
        workspace.reserve(text.length);
        for (const [from, to] of [
          [0, cut],
          [cut, text.length],
        ] as const) {
          const positions = Uint32Array.from({ length: to - from }, (_, row) => from + row);
          const rangesFrom = (first: (position: number) => number) =>
            Uint32Array.from([...positions].flatMap((at) => [start + first(at), start + at + 1, 0, 0]));
          const hidden = forward(model, contextOf(loaded), {
            ids: buffers.upload('ids', Uint32Array.from(text.slice(from, to))),
            ...uploadPositions(model, positions, new Uint32Array(2 * positions.length).fill(text.length), buffers),
            ranges: buffers.upload(
              'ranges',
              rangesFrom(() => 0),
            ),
            ...(window === undefined
              ? {}
              : {
                  windowRanges: buffers.upload(
                    'window ranges',
                    rangesFrom((at) => Math.max(0, at - window + 1)),
                  ),
                }),
            rows: positions.length,
            labelRows: buffers.upload(
              'label rows',
              positions.map((at) => at - from),
            ),
            labelCount: positions.length,
            cache: {
              cache,
              slots: buffers.upload(
                'slots',
                positions.map((at) => start + at),
              ),
            },
          });
          for (const [row, actual] of (await rowsOf(loaded, hidden)).entries()) {
            const at = from + row;
            const wanted = expected.subarray(at * width, (at + 1) * width);
            expect(relativeError(actual, wanted), `token ${at} of ${text.length}, cut at ${cut}`).toBeLessThan(2e-5);
          }
        }
      } finally {
        gpu().recorder.submit();
        cache.destroy();
      }
    });
  });
});

test('the widest activation is that of the widest linear layer, or of all experts that a token goes to', async () => {
  const sizes = {
    vocab_size: 9,
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 2,
  };
  const widest = async (config: Record<string, unknown>): Promise<number> =>
    widestActivation({ decoder: await readConfiguration({ ...sizes, ...config }, 'config.json') } as Model);
  expect(await widest({ model_type: 'llama', intermediate_size: 8 })).toBe(16);
  // Stored with pads.
  expect(await widest({ model_type: 'llama', intermediate_size: 45 })).toBe(48);
  const experts = { num_experts: 5, num_experts_per_tok: 3, moe_intermediate_size: 24, intermediate_size: 20 };
  expect(await widest({ model_type: 'qwen3_moe', ...experts })).toBe(3 * 24);
});
