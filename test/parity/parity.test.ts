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
import { isMasked, type Parity, writeCheckpoint } from './checkpoint.ts';
import { compareCase, ofPasses, table, tolerance, type Verdict } from './compare.ts';

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

const yarn = { rope_type: 'yarn', rope_theta: 1e4, factor: 4, original_max_position_embeddings: 32 };

/** Settings of Gemma 4 whose layers with a window have another base, or whose others turn another part of a head. */
const gemma4Rotations = (theta: number, share: number) => ({
  sliding_attention: { rope_type: 'default', rope_theta: theta },
  full_attention: { rope_type: 'proportional', partial_rotary_factor: share, rope_theta: 900 },
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
  ['gemma3_text: bases of both kinds of layers', { rope_local_base_freq: 70.5 }],
  ['gemma3_text: linear in layers without a window', { rope_scaling: { rope_type: 'linear', factor: 8.1 } }],
  ['gemma3_text: cap of logits', { final_logit_softcapping: 9.01 }],
  ['gemma3_text: scale of scores', { query_pre_attn_scalar: 40.1 }],
  ['gemma3_text: every sixth layer without a window', { sliding_window_pattern: 5 }],
  ['gemma2: cap of scores', { attn_logit_softcapping: 0.501 }],
  ['gemma2: window 7', { sliding_window: 8 }],
  ['granite: factors', { embedding_multiplier: 12.2 }],
  ['granite: factors', { residual_multiplier: 0.225 }],
  ['granite: factors', { attention_multiplier: 0.41 }],
  ['granite: factors', { logits_scaling: 8.1 }],
  ['hyperclovax: logits_scaling', { logits_scaling: 1.701 }],
  ['hyperclovax: nothing but sizes', { attention_multiplier: 0.355 }],
  ['olmo3: base of layers without a window', { rope_theta: 501 }],
  ['ministral3: growth 2.5', { rope_parameters: { ...yarn, llama_4_scaling_beta: 2.51 } }],
  ['exaone4: every second layer without a window', { sliding_window_pattern: 3 }],
  ['hunyuan_v1_dense: alpha', { rope_scaling: { type: 'dynamic', factor: 1, alpha: 51 } }],
  ['nanochat: cap of logits 2', { final_logit_softcapping: 2.001 }],
  ['cwm: rotary base in a file without rules', { rope_parameters: { rope_type: 'default' } }],
  ['helium: theta 100', { rope_theta: 101 }],
  ['ernie4_5: theta 100', { rope_theta: 101 }],
  ['phi3: 0.5 of a head turns', { partial_rotary_factor: 0.75 }],
  ['phi3: longrope', { original_max_position_embeddings: 63 }],
  ['phi3: window 16', { sliding_window: 15 }],
  ['gpt2: scores by layer', { scale_attn_by_inverse_layer_idx: false }],
  ['gpt_neox: 0.5 of a head turns', { rotary_pct: 1 }],
  ['gpt_neox: one sublayer after the other', { use_parallel_residual: true }],
  ['starcoder2: window 16', { sliding_window: 17 }],
  ['phi: norm epsilon 0.01', { layer_norm_eps: 0.011 }],
  ['stablelm: parallel sublayers', { partial_rotary_factor: 0.5 }],
  ['cohere: logits times 0.25', { logit_scale: 0.26 }],
  ['cohere2: window 16, every second layer', { sliding_window_pattern: 3 }],
  ['glm4: 0.25 of a head turns', { partial_rotary_factor: 0.5 }],
  ['falcon: theta 500', { rope_theta: 501 }],
  ['falcon: ALiBi', { alibi: false }],
  ['bloom: 6 heads of 7', { n_head: 3 }],
  ['mpt: scale of scores', { attn_config: { softmax_scale: 0.201 } }],
  ['apertus: plain rotation', { rope_parameters: { rope_type: 'default', rope_theta: 501 } }],
  ['apertus: rms_norm_eps 0.01', { rms_norm_eps: 0.0099 }],
  ['gpt_bigcode: scores not scaled', { scale_attn_weights: true }],
  ['gptj: 6 elements of a head turn', { rotary_dim: 4 }],
  ['bert: norm epsilon 0.01', { layer_norm_eps: 0.0099 }],
  ['roberta: another padding token', { pad_token_id: 6 }],
  ['modernbert: windows of 8 to each side', { local_attention: 18 }],
  ['modernbert: thetas', { local_rope_theta: 49 }],
  ['exaone: as published', { layer_norm_epsilon: 0.01 }],
  ['jais2: norm epsilon 0.01', { layer_norm_eps: 1e-5 }],
  ['eurobert: as published', { rope_theta: 10000 }],
  ['qwen3_next: half of a head turned', { partial_rotary_factor: 0.25 }],
  ['qwen3_next: norm epsilon 0.01', { rms_norm_eps: 0.0099 }],
  ['qwen3_next: scores that do not add up to 1', { norm_topk_prob: true }],
  ['qwen3_5_moe_text: one expert of seven', { num_experts_per_tok: 2 }],
  ['qwen3_5_moe: norm epsilon 0.01', { text_config: { rms_norm_eps: 0.0099 } }],
  ['granitemoeshared: nothing but sizes', { residual_multiplier: 0.99 }],
  ['granitemoehybrid: nothing but sizes', { position_embedding_type: 'nope' }],
  ['granitemoehybrid: no experts', { attention_multiplier: 0.99 }],
  ['granite_swa: bases by layer', { layer_rope_theta: [0, 500, 10000, 0] }],
  ['granite_swa: windows of 5, listed', { sliding_window: 6 }],
  ['lfm2_moe: nothing but sizes', { routed_scaling_factor: 1.001 }],
  ['lfm2_moe: scores as they are', { norm_topk_prob: true }],
  ['ernie4_5_moe: a sum of scores of at least 0.9', { moe_norm_min: 0.901 }],
  ['ernie4_5_moe: nothing but sizes', { moe_k: 3 }],
  ['phimoe: a wide tolerance, seven experts', { router_jitter_noise: 0.8 }],
  ['phimoe: nothing but sizes', { router_jitter_noise: 0.01 }],
  [
    'phimoe: longrope',
    {
      rope_scaling: {
        ...{ type: 'longrope', short_factor: [1, 1.5, 2, 3], long_factor: [4, 4, 4, 4] },
        ...{ short_mscale: 1.251, long_mscale: 1.5, original_max_position_embeddings: 110 },
      },
    },
  ],
  ['glm4_moe: norms of queries and keys, a quarter of a head turns', { partial_rotary_factor: 0.5 }],
  ['glm4_moe: scores as they are, two shared experts', { routed_scaling_factor: 2.51 }],
  ['olmo_hybrid: learning up to 1', { linear_allow_neg_eigval: true }],
  ['olmo_hybrid: theta 500', { rope_theta: 501 }],
  ['olmo_hybrid: no base', { rope_theta: 10000 }],
  ['dots1: windows', { max_window_layers: 2 }],
  ['dots1: scores as they are, two shared experts', { norm_topk_prob: true }],
  ['gemma4_unified_text: window 7', { sliding_window: 8 }],
  ['gemma4_unified_text: cap of logits', { final_logit_softcapping: 2.001 }],
  ['gemma4_unified_text: norm epsilon 0.03', { rms_norm_eps: 0.0301 }],
  ['gemma4_unified_text: rotations', { rope_parameters: gemma4Rotations(50.5, 0.5) }],
  ['gemma4_unified_text: rotations', { rope_parameters: gemma4Rotations(50, 0.75) }],
  ['gemma4_text: nothing but sizes', { rms_norm_eps: 0.0099 }],
  ['gemma4_text: experts', { top_k_experts: 3 }],
  ['gemma4_text: experts, norm epsilon 0.03', { rms_norm_eps: 0.0301 }],
  ['hunyuan_v1_moe: chosen by layer', { moe_topk: [1, 2, 2] }],
  ['hunyuan_v1_moe: alpha', { rope_scaling: { type: 'dynamic', factor: 1, alpha: 51 } }],
])('%s: another %o is seen', async (name, change) => {
  const parity = cases.find((each) => each.name === name)!;
  const inner = { ...parity.config.text_config, ...(change as { text_config?: object }).text_config };
  const text = parity.config.text_config ? { text_config: inner } : {};
  const altered = { ...parity, config: { ...parity.config, ...change, ...text } };
  const directory = join(folder, `altered ${name}`);
  await writeCheckpoint(directory, altered);
  expect(await ofPasses(gpu, directory, altered)).toBeGreaterThan(tolerance);
});
