/**
 * `bench families`: a SubZero step of models whose layers are no Llama's (the gated delta rule, short convolutions,
 * Gemma 4's attention) over one of a Llama with as many parameters, all with random weights.
 *
 * @module
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { SubzeroError } from '../src/errors.ts';
import { median } from '../src/experiments/statistics.ts';
import { Gpu } from '../src/gpu/gpu.ts';
import { randomModel } from '../src/model/random-model.ts';
import { batchLoss } from '../src/objectives/loss.ts';
import { resolveConfiguration } from '../src/settings/configuration.ts';
import { table } from '../src/table.ts';
import { passShape, Scorer } from '../src/train/score.ts';
import { SubZero } from '../src/zo/subzero.ts';
import { deviceOf } from './device.ts';
import { kernelTable, profile } from './profile.ts';
import { randomBatch } from './random-batch.ts';

export const usage = `npm run bench -- families [options]
  --family NAMES       which, with commas between: qwen3.5, lfm2, gemma4, gemma4-inputs (default all)
  --rows N,N           rows of a pass, both probes counted (default 256,512,1024)
  --tokens T           tokens per sequence, which divide half of the rows (default: one sequence for each probe)
  --rank R             default 16
  --repeat N           timed steps of each model (default 7)
  --adapter NAME       part of the adapter's name, or its index
  --profile            also list the kernels that take the most time
  --json FILE          write the figures`;

const [hidden, layers, vocabulary] = [512, 4, 12_288];

const sizes = {
  ...{ vocab_size: vocabulary, hidden_size: hidden, num_hidden_layers: layers, tie_word_embeddings: true },
  max_position_embeddings: 4096,
};

/** The model that the others are held against. */
const llama = {
  ...{ model_type: 'llama', ...sizes, intermediate_size: 1920 },
  ...{ num_attention_heads: 8, num_key_value_heads: 2, head_dim: 64 },
};

/** Feed-forward layers are so wide that the linear layers have about as many parameters as those of the Llama. */
const families: Readonly<Record<string, Record<string, unknown>>> = {
  // Heads as wide, and as many for the hidden size, as those of Qwen 3.5 2B.
  'qwen3.5': {
    ...{ model_type: 'qwen3_5_text', ...sizes, intermediate_size: 1536 },
    ...{ num_attention_heads: 2, num_key_value_heads: 1, head_dim: 256 },
    ...{ linear_num_key_heads: 4, linear_num_value_heads: 4, linear_key_head_dim: 128, linear_value_head_dim: 128 },
  },
  lfm2: {
    ...{ model_type: 'lfm2', ...sizes, intermediate_size: 1728, block_auto_adjust_ff_dim: false },
    ...{ num_attention_heads: 8, num_key_value_heads: 2, full_attn_idxs: [2] },
  },
  gemma4: {
    ...{ model_type: 'gemma4_unified_text', ...sizes, intermediate_size: 1844, sliding_window: 512 },
    ...{ num_attention_heads: 8, num_key_value_heads: 2, head_dim: 64, global_head_dim: 128 },
    ...{ num_global_key_value_heads: 1, attention_k_eq_v: true },
  },
  'gemma4-inputs': {
    ...{ model_type: 'gemma4_text', ...sizes, intermediate_size: 1900, sliding_window: 512 },
    ...{ num_attention_heads: 8, num_key_value_heads: 2, head_dim: 64, global_head_dim: 64 },
    ...{ layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'] },
    ...{ vocab_size_per_layer_input: vocabulary, hidden_size_per_layer_input: 64, num_kv_shared_layers: 2 },
  },
};

/** Parameters in the embeddings of a configuration, of which a step reads only some rows. */
function embedded({ hidden_size_per_layer_input: inputs = 0 }: Record<string, unknown>): number {
  return vocabulary * (hidden + layers * (inputs as number));
}

export async function benchFamilies(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      family: { type: 'string', default: Object.keys(families).join(',') },
      rows: { type: 'string', default: '256,512,1024' },
      tokens: { type: 'string' },
      rank: { type: 'string', default: '16' },
      repeat: { type: 'string', default: '7' },
      adapter: { type: 'string' },
      profile: { type: 'boolean', default: false },
      json: { type: 'string' },
    },
  });
  const names = values.family.split(',');
  const unknown = names.find((name) => !families[name]);
  if (unknown !== undefined) {
    throw new SubzeroError('invalid_argument', `--family ${unknown} is not one of ${Object.keys(families).join(', ')}`);
  }
  const [rank, repeat] = [wholeNumber('rank', values.rank), wholeNumber('repeat', values.repeat)];
  const shares = values.rows.split(',').map((text) => {
    const rows = wholeNumber('rows', text);
    if (rows % 2 !== 0) throw new SubzeroError('invalid_argument', `--rows must be even; got ${rows}`);
    const tokens = values.tokens === undefined ? rows / 2 : wholeNumber('tokens', values.tokens);
    if ((rows / 2) % tokens !== 0) {
      const problem = `--tokens must divide half of the rows, ${rows / 2} of ${rows}; got ${tokens}`;
      throw new SubzeroError('invalid_argument', problem);
    }
    return { rows, tokens };
  });
  const gpu = await Gpu.open(deviceOf(values));
  const shapes: [string, Record<string, unknown>][] = [
    ['llama', llama],
    ...names.map((name): [string, Record<string, unknown>] => [name, families[name]!]),
  ];
  console.log(gpu.adapter.description || gpu.adapter.device);
  const figures = [];
  for (const { rows, tokens } of shares) {
    const contestants = await Promise.all(
      shapes.map(async ([name, config]) => ({
        name,
        ...(await openStep(gpu, config, { rows, tokens, rank })),
        milliseconds: [] as number[],
      })),
    );
    // Round 0 compiles kernels and allocates.
    for (let round = 0; round <= repeat; round++) {
      for (const { step, milliseconds } of contestants) {
        const taken = await timed(gpu, () => step(round));
        if (round > 0) milliseconds.push(taken);
      }
    }
    const base = contestants[0]!;
    const results = contestants.map(({ name, parameters, milliseconds }) => ({
      ...{ name, parameters, milliseconds: median(milliseconds) },
      ratio: median(milliseconds.map((value, round) => value / base.milliseconds[round]!)),
      ratioOfMinima: Math.min(...milliseconds) / Math.min(...base.milliseconds),
    }));
    figures.push({ rows, tokens, results });
    const clock = gpu.adapter.software ? 'of the processors' : 'by the clock';
    console.log(`\n${rows} rows: two probes of ${rows / 2 / tokens} × ${tokens} tokens; milliseconds ${clock}`);
    console.log(
      table(
        ['model', 'parameters without embeddings', 'ms', 'over Llama', 'of the minima'],
        results.map(({ name, parameters, milliseconds, ratio, ratioOfMinima }) => [
          ...[name, parameters.toLocaleString('en'), milliseconds.toFixed(0)],
          ...[ratio.toFixed(3), ratioOfMinima.toFixed(3)],
        ]),
      ),
    );
    if (values.profile) {
      for (const { name, step } of contestants) {
        console.log(`\n${name}\n${kernelTable(await profile(gpu, () => step(0)))}`);
      }
    }
    for (const { close } of contestants) close();
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`);
  gpu.close();
  return 0;
}

/** @throws SubzeroError `invalid_argument` */
function wholeNumber(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new SubzeroError('invalid_argument', `--${option} must be a whole number from 1; got "${text}"`);
}

/** A model with what its steps need. */
async function openStep(
  gpu: Gpu,
  config: Record<string, unknown>,
  { rows, tokens, rank }: { rows: number; tokens: number; rank: number },
) {
  const model = await randomModel(gpu, config, 'f32');
  const sequences = rows / 2 / tokens;
  const batch = randomBatch(sequences, tokens, vocabulary);
  const settings = { epsilon: 1e-3, learningRate: Math.fround(1e-9), batchSize: sequences, rank, refresh: 1_000_000 };
  const optimizer = new SubZero(model, resolveConfiguration(settings));
  const scorer = new Scorer(model, rows);
  scorer.reserve(rows, passShape(batch));
  optimizer.beginStep(0);
  return {
    parameters: model.parameterCount - embedded(config),
    async step(step: number) {
      const scores = await scorer.score(batch, optimizer.perturb(step));
      const { projectedGradients } = optimizer.measure(
        scores.map((each) => batchLoss(batch, each).loss),
        step,
      );
      optimizer.update({ step, learningRate: settings.learningRate, projectedGradients });
      gpu.recorder.submit();
      await gpu.idle();
    },
    close() {
      scorer.destroy();
      optimizer.destroy();
      model.destroy();
    },
  };
}

/** Milliseconds of the processors on a software adapter, which works in this process; by the clock on others. */
async function timed(gpu: Gpu, body: () => Promise<void>): Promise<number> {
  const [started, before] = [performance.now(), process.cpuUsage()];
  await body();
  const { user, system } = process.cpuUsage(before);
  return gpu.adapter.software ? (user + system) / 1000 : performance.now() - started;
}
