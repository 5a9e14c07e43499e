/**
 * config.json as a whitelist: every key of transformers' classes is known (test/reference/config_classes.py), every key
 * on the list of those that change nothing is there for a reason, and no other key passes in silence.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ignoredKeys, neutralKeys } from '../../src/model/config-keys.ts';
import { keysRead, readConfiguration, supportedArchitectures } from '../../src/model/configuration.ts';
import { families } from '../../src/model/families/index.ts';
import { ropeTypes } from '../../src/model/rope-rules.ts';
import { activationNames } from '../../src/ops/activation.ts';
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
const base = (type: string): Record<string, unknown> => ({
  model_type: type,
  ...sizes,
  ...(sizesOf[type] ?? { intermediate_size: 128, num_key_value_heads: 2, head_dim: 16 }),
});
/** The sizes of families that lack some of the usual keys; null for those that they call otherwise. */
const otherNames = { hidden_size: null, num_attention_heads: null, num_hidden_layers: null };
const sizesOf: Record<string, Record<string, unknown>> = {
  opt: { ffn_dim: 128 },
  ...Object.fromEntries(
    ['roberta', 'xlm-roberta', 'bert', 'modernbert'].map((type) => [type, { intermediate_size: 128 }]),
  ),
  phi3: { intermediate_size: 128, num_key_value_heads: 2 },
  phi: { intermediate_size: 128, num_key_value_heads: 2 },
  gpt_neox: { intermediate_size: 128 },
  gpt2: { ...otherNames, n_embd: 64, n_head: 4, n_layer: 3, n_inner: 128 },
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
      (name) => keysRead(type).has('rope_scaling') || !rotary.test(name),
    );
    expect(names.length).toBeGreaterThan(60);
    expect(names.filter((name) => !known(name))).toEqual([]);
  });

  test('has the defaults of its class for the keys that it reads', () => {
    const { fields } = families[type]!;
    const shared = Object.entries(classes.types[type]!).filter(([key]) => key in fields);
    expect(shared.length).toBeGreaterThanOrEqual(10);
    for (const [key, fallback] of shared) expect([key, fields[key]!.fallback]).toEqual([key, fallback]);
  });

  test('means the same with the defaults of its class written out', () => {
    const { [type]: own } = classes.types;
    const written = read({ model_type: type, ...own, ...classes.base });
    expect(written).toEqual(read({ model_type: type }));
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
  test.each(Object.entries(neutral))('takes one value of "%s" only', (key, [accepted, refused]) => {
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
    expect(() => read({ ...base(type), logit_scale: value })).toThrow(
      `config.json: the key "logit_scale" (${JSON.stringify(value)}) is not known for "${type}"`,
    );
  });

  test.each([null, false, '', [], {}].map((value) => ({ value })))(
    'takes an unknown key without content, $value',
    ({ value }) => {
      expect(read({ ...base(type), logit_scale: value })).toEqual(plain);
    },
  );

  test.each(['constructor', 'toString', 'hasOwnProperty'])('refuses the unknown key "%s"', (key) => {
    expect(() => read({ ...base(type), [key]: 1 })).toThrow(`the key "${key}" (1) is not known`);
  });

  test('refuses null where its class does', () => {
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
