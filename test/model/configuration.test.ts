/** What config.json of a checkpoint means, and what is said where it cannot be used. */

import { describe, expect, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { readConfiguration as findAndRead, supportedArchitectures } from '../../src/model/configuration.ts';
import { attentions, sublayersOf } from '../../src/model/decoder.ts';
import { parameterShapes } from '../../src/model/parameters.ts';
import { readConfiguration } from '../support/configuration.ts';
import { summaryOf } from '../support/decoder.ts';

const llama = {
  model_type: 'llama',
  hidden_size: 64,
  num_attention_heads: 4,
  num_hidden_layers: 3,
  intermediate_size: 128,
  vocab_size: 100,
};
const opt = {
  model_type: 'opt',
  hidden_size: 64,
  num_attention_heads: 4,
  num_hidden_layers: 2,
  ffn_dim: 256,
  vocab_size: 100,
};

function refused(config: Record<string, unknown>): SubzeroError {
  try {
    readConfiguration(config, 'some/config.json');
  } catch (error) {
    if (error instanceof SubzeroError) return error;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

test('the family is found by the model type', async () => {
  expect(await findAndRead(opt, 'config.json')).toEqual(readConfiguration(opt, 'config.json'));
});

describe('refusals name the file and what to do', () => {
  test('unknown architectures, among them names of Object.prototype', async () => {
    for (const type of ['gpt_sw4', 'constructor', 'toString', '__proto__', '', null, undefined, 7, ['llama']]) {
      const error = await findAndRead({ ...llama, model_type: type }, 'some/config.json').catch((reason) => reason);
      expect(error).toBeInstanceOf(SubzeroError);
      expect(error.code).toBe('unsupported');
      expect(error.message).toContain(
        `some/config.json: the architecture ${JSON.stringify(type ?? null)} is not supported`,
      );
      for (const supported of supportedArchitectures) expect(error.message).toContain(supported);
    }
  });

  test.each([0, -1, 1.5, '4', true, [4], {}, 2 ** 60, Number.NaN].map((value) => ({ value })))(
    'a size that is no size: $value',
    ({ value }) => {
      const error = refused({ ...llama, num_hidden_layers: value });
      expect(error.code).toBe('invalid_data');
      expect(error.message).toContain('"num_hidden_layers" must be a whole number of at least 1');
      expect(error.message).toContain(JSON.stringify(value));
    },
  );

  test('heads that do not divide', () => {
    const uneven = 'some/config.json: the hidden size 64 cannot be split evenly among 5 heads';
    expect(refused({ ...llama, num_attention_heads: 5 }).message).toBe(uneven);
    expect(refused({ ...opt, num_attention_heads: 5 }).message).toBe(uneven);
    const error = refused({ ...llama, num_key_value_heads: 3 });
    expect(error.code).toBe('invalid_data');
    expect(error.message).toBe('some/config.json: 4 heads cannot share 3 key heads evenly');
    expect(refused({ ...llama, num_attention_heads: 2, num_key_value_heads: 4 }).code).toBe('invalid_data');
    expect(refused({ ...llama, head_dim: 0 }).message).toContain(
      '"head_dim" must be a whole number of at least 1; got 0',
    );
  });

  test('heads of an odd width that should be turned in pairs', () => {
    const error = refused({ ...llama, head_dim: 7 });
    expect(error.code).toBe('invalid_data');
    expect(error.message).toBe(
      'some/config.json: heads of 7 elements cannot be turned in pairs; their width must be even',
    );
  });

  test('activations', () => {
    expect(refused({ ...llama, hidden_act: 'xielu' }).message).toMatch(
      /"hidden_act": the activation "xielu" is not supported; expected relu, relu2, gelu/,
    );
    const error = refused({ ...opt, activation_function: 'toString' });
    expect(error.code).toBe('unsupported');
    expect(error.message).toMatch(/"activation_function": the activation "toString" is not supported/);
  });

  test('norm epsilon and theta', () => {
    expect(summaryOf(readConfiguration({ ...llama, rms_norm_eps: 0 }, 'config.json')).normEpsilon).toBe(0);
    expect(refused({ ...llama, rms_norm_eps: -1 }).message).toContain(
      '"rms_norm_eps" must be a number of at least 0; got -1',
    );
    expect(refused({ ...llama, rope_theta: '1e4' }).message).toContain(
      '"rope_theta" must be a positive number; got "1e4"',
    );
  });

  test('rope scaling', () => {
    expect(refused({ ...llama, rope_scaling: { type: 'su' } }).code).toBe('unsupported');
    expect(refused({ ...llama, rope_scaling: { type: 'linear' } }).message).toMatch(/^some\/config.json: .*"factor"/);
    expect(refused({ ...llama, rope_scaling: 'linear' }).message).toMatch(
      /"rope_scaling" must be an object; got "linear"/,
    );
    expect(refused({ ...llama, rope_parameters: [1] }).message).toMatch(
      /"rope_parameters" must be an object; got \[1\]/,
    );
  });

  test('windows that hide every key', () => {
    for (const window of [0, -1, 2.5, '8']) {
      const error = refused({ ...llama, model_type: 'mistral', sliding_window: window });
      expect(error.code).toBe('invalid_data');
      expect(error.message).toContain('"sliding_window" must be a whole number of at least 1');
    }
  });
});

describe('the Llama family', () => {
  test('defaults as in transformers', () => {
    const c = readConfiguration(llama, 'config.json');
    expect(summaryOf(c)).toMatchObject({
      architecture: 'llama',
      hiddenSize: 64,
      layerCount: 3,
      headCount: 4,
      keyHeadCount: 4,
      headWidth: 16,
      contextLength: 2048,
      normKind: 'rms',
      normEpsilon: 1e-6,
      normFirst: true,
      activation: 'silu',
      rotation: { theta: 10_000, rotaryWidth: 16, scaling: { type: 'default' } },
      tied: false,
      windows: [undefined, undefined, undefined],
    });
    expect(c.projectIn).toBeUndefined();
  });

  test('null stands for a field that is not set', () => {
    const nulls = { head_dim: null, num_key_value_heads: null, rope_scaling: null, sliding_window: null };
    expect(readConfiguration({ ...llama, ...nulls }, 'config.json')).toEqual(readConfiguration(llama, 'config.json'));
  });

  test('a head width of its own, grouped heads, tied head', () => {
    const c = readConfiguration(
      { ...llama, head_dim: 32, num_key_value_heads: 2, tie_word_embeddings: true, rope_theta: 5e5 },
      'config.json',
    );
    expect(summaryOf(c)).toMatchObject({
      headWidth: 32,
      keyHeadCount: 2,
      tied: true,
      rotation: { theta: 5e5, rotaryWidth: 32 },
    });
    const shapes = new Map(parameterShapes(c).map(({ name, shape }) => [name, shape]));
    expect(shapes.get('model.layers.0.self_attn.q_proj.weight')).toEqual([128, 64]);
    expect(shapes.get('model.layers.0.self_attn.k_proj.weight')).toEqual([64, 64]);
    expect(shapes.get('model.layers.0.self_attn.o_proj.weight')).toEqual([64, 128]);
    expect(shapes.has('lm_head.weight')).toBe(false);
  });

  test('the context reaches as far as its scaling stretches it', () => {
    const reach = (scaling: object, more: object = {}) =>
      readConfiguration({ ...llama, max_position_embeddings: 512, rope_scaling: scaling, ...more }, 'config.json')
        .contextLength;
    expect(reach({ type: 'linear', factor: 4 })).toBe(512);
    expect(reach({ type: 'dynamic', factor: 4 })).toBe(2048);
    expect(reach({ type: 'yarn', factor: 4 })).toBe(2048);
    expect(reach({ type: 'yarn', factor: 4, original_max_position_embeddings: 64 })).toBe(512);
    expect(reach({ type: 'yarn', factor: 4 }, { original_max_position_embeddings: 300 })).toBe(1200);
  });

  test("transformers 5's rope_parameters hold what older files spread", () => {
    const c = readConfiguration(
      { ...llama, rope_theta: 1, rope_parameters: { rope_theta: 7e4, rope_type: 'linear', factor: 2 } },
      'config.json',
    );
    expect(summaryOf(c).rotation).toMatchObject({ theta: 7e4, scaling: { type: 'linear', factor: 2 } });
  });

  test('YaRN without an original context stretches the whole context', () => {
    const scaling = { rope_type: 'yarn', factor: 4 };
    const c = readConfiguration({ ...llama, max_position_embeddings: 512, rope_scaling: scaling }, 'config.json');
    expect(summaryOf(c).rotation).toMatchObject({ scaling: { type: 'yarn', originalContext: 512 } });
  });

  test('only Qwen 3 has norms of queries and keys', () => {
    const names = (type: string) =>
      attentions(readConfiguration({ ...llama, model_type: type, num_key_value_heads: 2 }, 'config.json'))[1]!;
    expect(names('qwen3')).toMatchObject({
      queryNorm: { kind: 'rms', width: 128, gain: 'model.layers.1.self_attn.q_norm.weight' },
      keyNorm: { kind: 'rms', width: 128, gain: 'model.layers.1.self_attn.k_norm.weight' },
    });
    expect(names('qwen2').queryNorm).toBeUndefined();
  });

  test('every parameter has one name and a shape of positive sizes', () => {
    const biased = { ...llama, attention_bias: true, mlp_bias: true };
    const shapes = parameterShapes(readConfiguration(biased, 'config.json'));
    expect(shapes.filter(({ optional }) => optional)).toHaveLength(3 * 7);
    expect(new Set(shapes.map(({ name }) => name)).size).toBe(shapes.length);
    for (const { shape } of shapes) expect(shape.every((size) => size > 0)).toBe(true);
    // Biases may be absent, matrices and gains of RMSNorm may not.
    for (const { name, optional } of shapes) expect(optional, name).toBe(name.endsWith('.bias'));
  });
});

describe('sliding windows', () => {
  const windows = (config: Record<string, unknown>) =>
    summaryOf(readConfiguration({ ...llama, num_key_value_heads: 2, ...config }, 'config.json')).windows;
  const none = [undefined, undefined, undefined];

  test.each([
    ['mistral: every layer', { model_type: 'mistral', sliding_window: 8 }, [8, 8, 8]],
    ['mistral without', { model_type: 'mistral', sliding_window: null }, none],
    ['mistral: the default', { model_type: 'mistral' }, [4096, 4096, 4096]],
    [
      'mistral: listed per layer',
      { model_type: 'mistral', sliding_window: 8, layer_types: ['full_attention', 'sliding_attention', 'attention'] },
      [undefined, 8, undefined],
    ],
    ['llama: as long as its context', { sliding_window: 2048 }, none],
    ['qwen2: off unless switched on', { model_type: 'qwen2', sliding_window: 8 }, none],
    ['qwen2: switched off', { model_type: 'qwen2', sliding_window: 8, use_sliding_window: false }, none],
    [
      'qwen2: from max_window_layers on',
      { model_type: 'qwen2', sliding_window: 8, use_sliding_window: true, max_window_layers: 1 },
      [undefined, 8, 8],
    ],
    [
      'qwen2: every layer',
      { model_type: 'qwen2', sliding_window: 8, use_sliding_window: true, max_window_layers: 0 },
      [8, 8, 8],
    ],
    [
      'qwen3: listed per layer',
      {
        model_type: 'qwen3',
        sliding_window: 8,
        use_sliding_window: true,
        max_window_layers: 0,
        layer_types: ['full_attention', 'sliding_attention', 'full_attention'],
      },
      [undefined, 8, undefined],
    ],
  ])('%s', (_, config, expected) => {
    expect(windows(config)).toEqual(expected);
  });

  test.each([
    ['llama', { sliding_window: 8 }, '"sliding_window" must be null'],
    ['qwen2', { sliding_window: 8, layer_types: Array(3).fill('sliding_attention') }, 'gives them none'],
    ['mistral', { sliding_window: null, layer_types: Array(3).fill('sliding_attention') }, 'gives them none'],
    ['llama', { layer_types: ['full_attention'] }, '"layer_types" has 1 entries for 3 layers'],
    ['qwen3', { layer_types: Array(3).fill('linear_attention') }, 'layers of the type "linear_attention"'],
    ['qwen3', { layer_types: 'full_attention' }, '"layer_types" must be a list of texts'],
  ])('%s with %j is refused', (type, config, message) => {
    expect(() => windows({ model_type: type, ...config })).toThrow(message);
  });
});

describe('OPT', () => {
  test('defaults', () => {
    const c = readConfiguration(opt, 'config.json');
    expect(summaryOf(c)).toMatchObject({
      headWidth: 16,
      keyHeadCount: 4,
      normKind: 'layer',
      normEpsilon: 1e-5,
      normFirst: true,
      activation: 'relu',
      position: { kind: 'learned', offset: 2, table: { rows: { width: 2050 } } },
      tied: true,
      embeddingWidth: 64,
      finalNorm: 'model.decoder.final_layer_norm',
    });
    expect(c.projectIn).toBeUndefined();
  });

  test("OPT-350m's layout: norm after, narrow embedding with projections, no final norm", () => {
    const c = readConfiguration({ ...opt, word_embed_proj_dim: 32, do_layer_norm_before: false }, 'config.json');
    expect(c.finalNorm).toBeUndefined();
    expect(summaryOf(c).normFirst).toBe(false);
    const shapes = new Map(parameterShapes(c).map(({ name, shape }) => [name, shape]));
    expect(shapes.get('model.decoder.embed_tokens.weight')).toEqual([100, 32]);
    expect(shapes.get('model.decoder.embed_positions.weight')).toEqual([2050, 64]);
    expect(shapes.get('model.decoder.project_in.weight')).toEqual([64, 32]);
    expect(shapes.get('model.decoder.project_out.weight')).toEqual([32, 64]);
    expect(shapes.has('lm_head.weight')).toBe(false);
  });

  test('Galactica-style GELU and models without a final norm', () => {
    const c = readConfiguration({ ...opt, activation_function: 'gelu', _remove_final_layer_norm: true }, 'config.json');
    expect(summaryOf(c).activation).toBe('gelu');
    expect(c.finalNorm).toBeUndefined();
  });
});

describe('Qwen 3 MoE', () => {
  const config = {
    ...{ model_type: 'qwen3_moe', hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, head_dim: 8 },
    ...{ num_attention_heads: 4, num_key_value_heads: 2, vocab_size: 64, moe_intermediate_size: 16 },
  };
  const expertsOf = (own: object) =>
    sublayersOf(readConfiguration({ ...config, ...own }, 'config.json')).flatMap((sublayer) =>
      sublayer.kind === 'experts' ? [sublayer.routing.experts] : [],
    );

  test('has its number of experts as published, or as transformers 5.24 saves it', () => {
    expect(expertsOf({})).toEqual([128]);
    expect(expertsOf({ num_experts: 16 })).toEqual([16]);
    expect(expertsOf({ num_local_experts: 16 })).toEqual([16]);
    expect(expertsOf({ num_local_experts: 16, num_experts: 16 })).toEqual([16]);
    expect(() => expertsOf({ num_local_experts: 16, num_experts: 8 })).toThrow(/mean the same; got 8 and 16/);
  });
});
