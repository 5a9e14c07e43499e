/** The tensors of an adapter that stands for a SubZero run, against the change of its weights in float64. */

import { expect, test } from 'vitest';
import { bytesToF32, type TensorToWrite } from '../../src/safetensors/index.ts';
import { factoredPeft } from '../../src/train/export-peft.ts';
import type { RestoredRun } from '../../src/train/run.ts';
import { openTestGpu } from '../support/gpu.ts';
import { type Random, withSeed } from '../support/random.ts';
import { relativeError } from '../support/zo/compare.ts';
import { type RandomModel, writeRandomModel } from '../support/zo/random-model.ts';
import { type SessionSettings, type SubZeroSession, withSession } from '../support/zo/session.ts';
import { effectiveParameters } from '../support/zo/weights.ts';

const gpu = openTestGpu();

interface Tensor {
  shape: readonly number[];
  values: Float32Array;
}

/** Runs `body` on a random model after three steps, in the second period where a bank keeps the first. */
async function afterSteps(
  random: Random,
  overrides: Record<string, unknown>,
  settings: Partial<SessionSettings>,
  body: (session: SubZeroSession, model: RandomModel) => Promise<void>,
): Promise<void> {
  const model = await writeRandomModel(random, overrides);
  const refresh = settings.change === 'bank' ? 2 : 100;
  const all = { rank: random.integer(1, 12), seed: random.integer(0, 2 ** 31), weightDecay: 0, ...settings };
  try {
    await withSession(gpu(), { ...all, refresh, model: model.directory }, async (session) => {
      for (let step = 0; step < 3; step++) {
        const projectedGradients = [Math.fround(1 + random.uniform())];
        await session.subzero.replay([{ step, learningRate: Math.fround(0.03), projectedGradients }]);
      }
      await body(session, model);
    });
  } finally {
    await model.remove();
  }
}

async function valuesOf({ shape, dtype, data }: TensorToWrite): Promise<Tensor> {
  const parts: Uint8Array[] = [];
  for await (const part of data()) parts.push(part);
  return { shape, values: bytesToF32(dtype as 'F32', new Uint8Array(Buffer.concat(parts))) };
}

async function adapterOf({ model, subzero }: SubZeroSession) {
  const { tensors, config } = await factoredPeft({ model } as RestoredRun, subzero);
  const byName = new Map<string, Tensor>();
  for (const tensor of tensors) byName.set(tensor.name.replace('base_model.model.', ''), await valuesOf(tensor));
  return { tensors: byName, config };
}

/** left [rows, rank] · right [rank, columns]. */
function product(left: Tensor, right: Tensor): Float64Array {
  const [rows, rank] = left.shape as [number, number];
  const columns = right.shape[1]!;
  expect(right.shape[0]).toBe(rank);
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += left.values[row * rank + k]! * right.values[k * columns + column]!;
    return sum;
  });
}

function transposed(values: Float64Array, rows: number, columns: number): Float64Array {
  return values.map((_, at) => values[(at % rows) * columns + Math.floor(at / rows)]!);
}

/** The relative error allowed of a change, which is small beside the weights whose difference it is. */
const tolerance = 2e-4;

test.each([
  ['tied', { tie_word_embeddings: true }, {}],
  ['biases', { tie_word_embeddings: false, attention_bias: true, mlp_bias: true }, {}],
  ['bank', { tie_word_embeddings: false, attention_bias: false, mlp_bias: false }, { change: 'bank' }],
  ['positions', { model_type: 'gpt2', tie_word_embeddings: true }, {}],
] as const)('%s: every change of a run, and nothing else', async (name, overrides, settings) => {
  await withSeed(`export-peft ${name}`, async (random) => {
    await afterSteps(random, overrides, settings, async (session, { parameters }) => {
      const { head, embedding, position } = session.model.decoder;
      const { tensors, config } = await adapterOf(session);
      const effective = await effectiveParameters(session.model, session.subzero);
      const used = new Set<string>();
      const take = (tensor: string): Tensor => {
        const found = tensors.get(tensor);
        if (!found) throw new Error(`no tensor ${tensor} among ${[...tensors.keys()].join(', ')}`);
        used.add(tensor);
        return found;
      };
      const saved = new Set<string>();
      for (const [parameter, values] of effective) {
        const module = parameter.replace(/\.(weight|bias)$/, '');
        const base = parameters.get(parameter)!;
        const change = values.map((value, at) => value - base[at]!);
        expect(Math.max(...change.map(Math.abs)), parameter).toBeGreaterThan(0);
        if (module === embedding.name) {
          const [columns, rows] = [take(`${module}.lora_embedding_B`), take(`${module}.lora_embedding_A`)];
          const [width, entries] = [columns.shape[0]!, rows.shape[1]!];
          const exported = transposed(product(columns, rows), width, entries);
          expect(relativeError(exported, change), parameter).toBeLessThan(tolerance);
          if (!head.tied) continue;
          const twin = product(take(`${head.name}.lora_B.weight`), take(`${head.name}.lora_A.weight`));
          expect(relativeError(twin, change), head.name).toBeLessThan(tolerance);
        } else if (tensors.has(`${module}.lora_B.weight`) && parameter.endsWith('.weight')) {
          const exported = product(take(`${module}.lora_B.weight`), take(`${module}.lora_A.weight`));
          expect(relativeError(exported, change), parameter).toBeLessThan(tolerance);
        } else if (tensors.has(`${module}.base_layer.bias`) && parameter.endsWith('.bias')) {
          expect(relativeError(take(`${module}.base_layer.bias`).values, values), parameter).toBeLessThan(1e-6);
        } else {
          // Norms, and tables of positions, as they are afterwards.
          saved.add(module);
          expect(relativeError(take(parameter).values, values), parameter).toBeLessThan(1e-6);
        }
      }
      expect(new Set(tensors.keys())).toEqual(used);
      expect(new Set(config.modules_to_save as string[])).toEqual(saved);
      if (position) expect(saved).toContain(position.table.name);

      // PEFT scales a pair by alpha over its rank, which must be 1 for each.
      const { r, lora_alpha: alpha, rank_pattern: ranks, alpha_pattern: alphas } = config as Record<string, never>;
      expect([r, ranks]).toEqual([alpha, alphas]);
      const pairs = [...tensors].filter(([tensor]) => /lora_(embedding_)?A/.test(tensor));
      expect((config.target_modules as string[]).length).toBe(pairs.length);
      for (const [tensor, { shape }] of pairs) {
        const module = tensor.replace(/\.lora_.*/, '');
        expect((ranks as Record<string, number>)[module] ?? r, tensor).toBe(shape[0]);
      }
      expect(config.bias).toBe(
        [...tensors.keys()].some((tensor) => tensor.endsWith('.bias') && !saved.has(tensor.replace(/\.bias$/, '')))
          ? 'all'
          : 'none',
      );
      expect(config.fan_in_fan_out).toBe(name === 'positions');
    });
  });
});

test('a run without linear layers is refused: there is nothing to put a pair beside', async () => {
  await withSeed('export-peft norms', async (random) => {
    await afterSteps(random, {}, { parameters: ['*norm*'] }, async (session) => {
      await expect(adapterOf(session)).rejects.toMatchObject({ code: 'unsupported', parameter: 'format' });
    });
  });
});
