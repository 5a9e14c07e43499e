/**
 * config.json as a whitelist: every key of transformers' classes is known (test/reference/config_classes.py), every key
 * on the list of those that change nothing is there for a reason, and no other key passes in silence.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ignoredKeys, neutralKeys } from '../../src/model/config-keys.ts';
import { supportedArchitectures } from '../../src/model/configuration.ts';
import { rotationsOf } from '../../src/model/decoder.ts';
import { parameterShapes } from '../../src/model/parameters.ts';
import { ropeTypes } from '../../src/model/rope-rules.ts';
import { activationNames } from '../../src/ops/activation.ts';
import { families, keysRead, readConfiguration } from '../support/configuration.ts';
import { summaryOf } from '../support/decoder.ts';

const readJson = (path: string) => JSON.parse(readFileSync(new URL(`../fixtures/${path}`, import.meta.url), 'utf8'));

const classes = readJson('golden/config-classes.json') as {
  base: Record<string, unknown>;
  types: Record<string, Record<string, unknown>>;
  popped: string[];
  activations: string[];
  rope_types: string[];
};
const seen = readJson('config-keys.json') as {
  every_type: Record<string, unknown>;
  by_type: Record<string, Record<string, unknown>>;
  neutral: Record<string, Record<string, [accepted: unknown, refused: unknown]>>;
};

const sizes = { vocab_size: 100, hidden_size: 64, num_attention_heads: 4, num_hidden_layers: 3 };
/** The language models inside of those that see, and the models around them. */
const inner: Readonly<Record<string, string>> = {
  ...{ gemma3: 'gemma3_text', mistral3: 'mistral' },
  ...{ qwen3_5: 'qwen3_5_text', qwen3_5_moe: 'qwen3_5_moe_text' },
  ...{ gemma4: 'gemma4_text', gemma4_unified: 'gemma4_unified_text' },
};
const isWrapper = (type: string): boolean => type in inner;
const base = (type: string): Record<string, unknown> =>
  isWrapper(type) ? { model_type: type, text_config: plainBase(inner[type]!) } : plainBase(type);
const plainBase = (type: string): Record<string, unknown> => ({
  model_type: type,
  ...sizes,
  ...(sizesOf[type] ?? { intermediate_size: 128, num_key_value_heads: 2, head_dim: 16 }),
  ...neededOf[type],
});
/** What files of a type must say besides, of three layers. */
const neededOf: Record<string, Record<string, unknown>> = {
  granitemoehybrid: { layer_types: Array(3).fill('attention') },
  lfm2_moe: { layer_types: ['conv', 'full_attention', 'conv'] },
  glm4_moe: { head_dim: 16 },
  olmo_hybrid: { linear_key_head_dim: 12 },
  dots1: { n_routed_experts: 8, n_shared_experts: 1, num_experts_per_tok: 2 },
};
/** The sizes of families that lack some of the usual keys; null for those that they call otherwise. */
const otherNames = { hidden_size: null, num_attention_heads: null, num_hidden_layers: null };
const gptSizes = { ...otherNames, n_embd: 64, n_head: 4, n_layer: 3, n_inner: 128 };
const sizesOf: Record<string, Record<string, unknown>> = {
  opt: { ffn_dim: 128 },
  ...Object.fromEntries(
    ['roberta', 'xlm-roberta', 'bert', 'modernbert'].map((type) => [type, { intermediate_size: 128 }]),
  ),
  phi3: { intermediate_size: 128, num_key_value_heads: 2 },
  phi: { intermediate_size: 128, num_key_value_heads: 2 },
  stablelm: { intermediate_size: 128, num_key_value_heads: 2 },
  gpt_neox: { intermediate_size: 128 },
  falcon: { ffn_hidden_size: 128 },
  bloom: {},
  apertus: { intermediate_size: 128, num_key_value_heads: 2 },
  mpt: { ...otherNames, d_model: 64, n_heads: 4, n_layers: 3 },
  gpt2: gptSizes,
  gpt_bigcode: gptSizes,
  gptj: { ...gptSizes, rotary_dim: 8 },
  gpt_neo: {
    ...{ num_attention_heads: null, num_hidden_layers: null, num_heads: 4, num_layers: 3, intermediate_size: 128 },
    attention_types: [[['global', 'local', 'global'], 1]],
  },
};
const read = (config: Record<string, unknown>) => readConfiguration(config, 'config.json');

describe.each(supportedArchitectures)('%s', (type) => {
  const plain = read(base(type));
  const own = { ignored: {}, neutral: {}, ...families[type]! };
  const known = (key: string): boolean =>
    keysRead(type).has(key) ||
    [ignoredKeys, neutralKeys, own.ignored, own.neutral].some((table) => Object.hasOwn(table, key));

  test('has every key of its class, and of what the base class takes from a file', () => {
    // Rotation is for those that have it.
    const rotary = /^(rope_|partial_rotary)/;
    const names = [...Object.keys(classes.types[type]!), ...Object.keys(classes.base), ...classes.popped].filter(
      (name) => (keysRead(type).has('rope_scaling') && !isWrapper(type)) || !rotary.test(name),
    );
    expect(names.length).toBeGreaterThan(60);
    expect(names.filter((name) => !known(name))).toEqual([]);
  });

  test.skipIf(isWrapper(type))('has the defaults of its class for the keys that it reads', () => {
    const { fields } = families[type]!;
    const shared = Object.entries(classes.types[type]!).filter(([key]) => key in fields);
    expect(shared.length).toBeGreaterThanOrEqual(6);
    for (const [key, fallback] of shared) expect([key, fields[key]!.fallback]).toEqual([key, fallback]);
  });

  test('means the same with the defaults of its class written out', () => {
    const { [type]: own } = classes.types;
    const layers = 'layer_types' in (neededOf[type] ?? {}) ? { num_hidden_layers: 3 } : {};
    const needed = isWrapper(type) ? { text_config: { model_type: inner[type] } } : { ...neededOf[type], ...layers };
    const written = read({ model_type: type, ...own, ...classes.base, ...needed });
    expect(written).toEqual(read({ model_type: type, ...needed }));
  });

  // What is read, or has one value only, in this type is not ignored there.
  const isIgnored = (key: string): boolean => !keysRead(type).has(key) && !Object.hasOwn(own.neutral, key);
  const ignored = Object.fromEntries(
    Object.entries({ ...seen.every_type, ...seen.by_type[type] }).filter(([key]) => isIgnored(key)),
  );
  test.each(Object.entries(ignored))('is not changed by "%s"', (key, value) => {
    expect(read({ ...base(type), [key]: value })).toEqual(plain);
  });

  test('ignores no key besides', () => {
    const listed = [...Object.keys(ignoredKeys).filter(isIgnored), ...Object.keys(own.ignored)];
    expect(listed.filter((key) => !Object.hasOwn(ignored, key))).toEqual([]);
    // A key that is read is not ignored too.
    expect(listed.filter((key) => keysRead(type).has(key))).toEqual([]);
    for (const key of listed) {
      expect((ignoredKeys[key] ?? own.ignored[key])!.length, key).toBeGreaterThan(20);
    }
  });

  test('needs every entry of the list: without any one of them its key is refused', () => {
    for (const table of [ignoredKeys, own.ignored] as Record<string, string>[]) {
      for (const [key, reason] of Object.entries(table).filter(([key]) => isIgnored(key))) {
        delete table[key];
        try {
          expect(() => read({ ...base(type), [key]: ignored[key] }), key).toThrow(`the key "${key}"`);
        } finally {
          table[key] = reason;
        }
      }
    }
  });

  const neutral = { ...seen.neutral.every_type, ...seen.neutral[type] };
  const unread = Object.entries(neutral).filter(([key]) => !keysRead(type).has(key));
  test.each(unread)('takes one value of "%s" only', (key, [accepted, refused]) => {
    expect(read({ ...base(type), [key]: accepted })).toEqual(plain);
    // Null switches causal attention off in transformers.
    if (key === 'is_causal') expect(() => read({ ...base(type), [key]: null })).toThrow('must be true; got null');
    else expect(read({ ...base(type), [key]: null })).toEqual(plain);
    expect(() => read({ ...base(type), [key]: refused })).toThrow(
      expect.objectContaining({ code: 'unsupported', message: expect.stringContaining(`config.json: "${key}"`) }),
    );
  });

  test('has no other such key', () => {
    const listed = [...Object.keys(neutralKeys), ...Object.keys(own.neutral)];
    expect(listed.sort()).toEqual(Object.keys(neutral).sort());
  });

  test.each([true, 0, 1, 0.5, 'on', [0], { a: 1 }])('refuses an unknown key with the value %j', (value) => {
    expect(() => read({ ...base(type), unheard_of: value })).toThrow(
      `config.json: the key "unheard_of" (${JSON.stringify(value)}) is not known for "${type}"`,
    );
  });

  test.each([null, false, '', [], {}].map((value) => ({ value })))(
    'takes an unknown key without content, $value',
    ({ value }) => {
      expect(read({ ...base(type), unheard_of: value })).toEqual(plain);
    },
  );

  test.each(['constructor', 'toString', 'hasOwnProperty'])('refuses the unknown key "%s"', (key) => {
    expect(() => read({ ...base(type), [key]: 1 })).toThrow(`the key "${key}" (1) is not known`);
  });

  test('refuses null where its class does', () => {
    if (isWrapper(type)) {
      const text = { ...plainBase(inner[type]!), vocab_size: null };
      expect(() => read({ ...base(type), text_config: text })).toThrow(/"vocab_size" must be .*; got null/);
      expect(() => read({ ...base(type), tie_word_embeddings: null })).toThrow('"tie_word_embeddings" must be');
      return;
    }
    const names = ['vocab_size', 'tie_word_embeddings', 'num_hidden_layers', 'max_position_embeddings'];
    for (const key of [...names, 'n_layer', 'n_positions'].filter((name) => keysRead(type).has(name))) {
      expect(() => read({ ...base(type), [key]: null })).toThrow(new RegExp(`"${key}" must be .*; got null`));
    }
  });
});

describe('files of public checkpoints', () => {
  const published = readJson('published-configs.json') as {
    name: string;
    config: Record<string, unknown>;
    expected: Record<string, unknown>;
  }[];

  test.each(published)('$name', ({ config, expected }) => {
    const windows = (expected.windows as (number | null)[] | undefined)?.map((width) => width ?? undefined);
    expect(summaryOf(read(config))).toMatchObject({ ...expected, ...(windows ? { windows } : {}) });
  });
});

describe('the class that a file names', () => {
  test.each([
    ['llama', ['LlamaForCausalLM']],
    ['llama', ['LLaMAForCausalLM']],
    ['mistral', ['MistralModel']],
    ['opt', ['OPTForCausalLM']],
    ['qwen2', []],
    ['roberta', ['RobertaForMaskedLM']],
    ['xlm-roberta', ['XLMRobertaForMaskedLM']],
    ['bert', ['BertForPreTraining']],
  ])('%s: %j', (type, names) => {
    expect(read({ ...base(type), architectures: names })).toEqual(read(base(type)));
  });

  test.each([
    ['gemma3_text', ['Gemma3ForCausalLM']],
    ['gemma3', ['Gemma3ForConditionalGeneration']],
    ['ernie4_5', ['Ernie4_5ForCausalLM']],
    ['hunyuan_v1_dense', ['HunYuanDenseV1ForCausalLM']],
  ])('%s: %j has a name of its own', (type, names) => {
    expect(read({ ...base(type), architectures: names })).toEqual(read(base(type)));
    expect(() => read({ ...base(type), architectures: ['LlamaForCausalLM'] })).toThrow('"architectures" must name');
  });

  test.each([
    ['llama', ['LlamaForSequenceClassification']],
    ['llama', ['LlamaForCausalLMEagle3']],
    ['qwen3', ['DFlashDraftModel']],
    ['mistral', ['LlamaForCausalLM']],
    ['roberta', ['RobertaForSequenceClassification']],
    ['bert', ['BertLMHeadModel']],
    ['xlm-roberta', ['RobertaForMaskedLM']],
  ])('%s: %j is another function', (type, names) => {
    expect(() => read({ ...base(type), architectures: names })).toThrow(
      `"architectures" must name the language model of "${type}"; got ${JSON.stringify(names)}`,
    );
  });

  test('code of its own is not run, and not passed over', () => {
    const own = { AutoConfig: 'configuration_own.OwnConfig' };
    expect(read({ ...base('llama'), auto_map: own })).toEqual(read(base('llama')));
    const config = { ...base('llama'), auto_map: { ...own, AutoModelForCausalLM: 'modeling_own.OwnForCausalLM' } };
    expect(() => read(config)).toThrow('"auto_map" names Python code');
  });
});

describe('a language model inside of another', () => {
  test.each([
    [null, 'got null'],
    [{ model_type: 'gemma4_text' }, 'got "gemma4_text"'],
    [{ model_type: 'llama' }, 'got "llama"'],
    [{ model_type: 'gemma3_text', logit_scale: 2 }, 'the key "logit_scale" (2) is not known for "gemma3_text"'],
    [{ model_type: 'gemma3_text', attention_chunk_size: 8 }, '"attention_chunk_size" must be'],
  ])('%j is refused', (text, message) => {
    expect(() => read({ model_type: 'gemma3', text_config: text })).toThrow(message);
  });

  test('of the type that its class has by default', () => {
    expect(read({ model_type: 'mistral3', text_config: {} }).architecture).toBe('mistral');
  });

  test('its tensors lie below language_model, and layers share their rotations', () => {
    const decoder = read({ ...base('gemma3'), tie_word_embeddings: false });
    expect(decoder.embedding.weight).toBe('model.language_model.embed_tokens.weight');
    expect(decoder.head).toMatchObject({ weight: 'lm_head.weight', tied: false });
    expect(rotationsOf(decoder)).toHaveLength(1);
    const names = parameterShapes(decoder).map(({ name }) => name);
    expect(names.filter((name) => !/^(model\.language_model|lm_head)\./.test(name))).toEqual([]);
  });
});

describe('quantized weights', () => {
  test.each(['gptq', 'awq', 'bitsandbytes', 'compressed-tensors', 'fp8'])('%s is named', (method) => {
    const config = { ...base('llama'), quantization_config: { quant_method: method, bits: 4 } };
    expect(() => read(config)).toThrow(
      `config.json: "quantization_config" (${method}): quantized weights cannot be read`,
    );
  });
});

test('names of activations and rotary rules are those of transformers', () => {
  expect(Object.keys(activationNames).filter((name) => !classes.activations.includes(name))).toEqual([]);
  expect([...ropeTypes].sort()).toEqual([...classes.rope_types].sort());
});
