import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { architectures, outerTensors } from '../../src/gguf/architectures.ts';
import { openGgufConfiguration, openGgufWeights } from '../../src/gguf/index.ts';
import { shortestDecimal } from '../../src/gguf/keys.ts';
import { expectFailure, temporaryDirectory } from '../safetensors/helpers.ts';
import { readConfiguration } from '../support/configuration.ts';
import { f32, flag, layOutGguf, list, type TensorToLayOut, text, u32, type Value } from './build.ts';

const directory = await temporaryDirectory();
let counter = 0;

type Keys = Record<string, Value | undefined>;

const basic = (architecture: string): Keys => ({
  'general.architecture': text(architecture),
  [`${architecture}.block_count`]: u32(2),
  [`${architecture}.context_length`]: u32(4096),
  [`${architecture}.embedding_length`]: u32(64),
  [`${architecture}.feed_forward_length`]: u32(96),
  [`${architecture}.attention.head_count`]: u32(4),
  [`${architecture}.attention.head_count_kv`]: u32(2),
  [`${architecture}.attention.layer_norm_rms_epsilon`]: f32(1e-5),
});

const embedding: TensorToLayOut = {
  name: 'token_embd.weight',
  dimensions: [64, 10],
  type: 0,
  data: new Uint8Array(2560),
};

const norm: TensorToLayOut = { name: 'output_norm.weight', dimensions: [64], type: 0, data: new Uint8Array(256) };

function vector(name: string, values: readonly number[]): TensorToLayOut {
  const data = new Uint8Array(Float32Array.from(values).buffer);
  return { name, dimensions: [values.length], type: 0, data };
}

const mixtures = ['qwen2moe', 'qwen3moe', 'olmoe', 'granitemoe', 'gpt-oss'];

/** Two experts of eight. */
const expertsOf = (architecture: string): Keys => ({
  [`${architecture}.expert_count`]: u32(8),
  [`${architecture}.expert_used_count`]: u32(2),
});

/** The path of a file of an architecture with other keys and more tensors. */
async function write(architecture: string, own: Keys = {}, tensors: readonly TensorToLayOut[] = []): Promise<string> {
  const keys = Object.entries({ ...basic(architecture), ...own }).filter(
    (entry): entry is [string, Value] => entry[1] !== undefined,
  );
  const file = join(directory, `${counter++}.gguf`);
  await writeFile(file, layOutGguf({ keys, tensors: [embedding, norm, ...tensors] }));
  return file;
}

async function read(...given: Parameters<typeof write>): Promise<Record<string, unknown>> {
  const file = await write(...given);
  const config = await openGgufConfiguration(file);
  // Whatever is made is read as any config.json is.
  readConfiguration(config, file);
  return config;
}

describe('every architecture', () => {
  const names = JSON.parse(
    readFileSync(fileURLToPath(new URL('../fixtures/gguf/tensor-names.json', import.meta.url)), 'utf8'),
  ) as Record<string, Record<string, string>>;
  // The others are compared with files of the converter, by keys and tensors.
  const named = Object.keys(architectures).filter((architecture) => Object.hasOwn(names, architecture));

  test('has the names of the gguf package', () => {
    const tables = named.map((architecture) => [architecture, architectures[architecture]!] as const);
    const own = tables.map(([architecture, { layer, unsuffixed = {}, experts }]) => [
      architecture,
      Object.fromEntries([
        ...Object.entries(outerTensors).map(([there, here]) => [here, there]),
        ...Object.entries(layer).map(([there, here]) => [`model.layers.N.${here}`, `blk.N.${there}`]),
        ...Object.entries(unsuffixed).map(([there, here]) => {
          return [`model.layers.N.${here}`, `blk.N.${there.replace('.weight', '')}`];
        }),
        // The converter brings the experts of all architectures under the names of one.
        ...(experts ? ['gate', 'up', 'down'] : []).map((projection) => {
          return [`model.layers.N.mlp.experts.${projection}_proj`, `blk.N.ffn_${projection}_exps`];
        }),
      ]),
    ]);
    // What a family has not, its files have not: heads of their own in tied Gemmas, norms without parameters.
    const absent: Record<string, string[]> = {
      ...{ olmo: ['model.norm'], gemma: ['lm_head'], gemma2: ['lm_head'] },
      granitemoe: ['model.layers.N.shared_mlp.output_linear'],
    };
    // Phi-3 packs its projections; the converter takes gate and up of Granite's experts for all tokens apart.
    const packed: Record<string, string[]> = {
      phi3: ['blk.N.attn_q', 'blk.N.attn_k', 'blk.N.attn_v'],
      granitemoe: ['blk.N.ffn_gate_shexp', 'blk.N.ffn_up_shexp'],
      mistral3: ['gate_inp', 'gate_exps', 'up_exps', 'down_exps'].map((name) => `blk.N.ffn_${name}`),
    };
    for (const [architecture, found] of own as [string, Record<string, string>][]) {
      const theirs = names[architecture]!;
      const other = Object.keys(found).filter((here) => theirs[here] !== found[here]);
      expect([architecture, other]).toEqual([architecture, absent[architecture] ?? []]);
      const read = new Set(Object.values(found));
      const unread = new Set(Object.values(theirs).filter((there) => !read.has(there)));
      expect([architecture, [...unread]]).toEqual([architecture, packed[architecture] ?? []]);
    }
    expect(Object.keys(names).sort()).toEqual(named.toSorted());
  });

  test.each(named)('%s makes a configuration that is read', async (architecture) => {
    const theta = architecture === 'gemma3' ? 1_000_000 : 10_000;
    const epsilon = `${architecture}.attention.layer_norm_rms_epsilon`;
    const own: Record<string, Keys> = {
      olmo: { [epsilon]: undefined },
      starcoder2: { [epsilon]: undefined, 'starcoder2.attention.layer_norm_epsilon': f32(1e-5) },
      ...Object.fromEntries(mixtures.map((each) => [each, expertsOf(each)])),
    };
    const config = await read(architecture, own[architecture]);
    const headWidth = architecture === 'phi3' ? {} : { head_dim: 16 };
    expect(config).toMatchObject({
      ...{ vocab_size: 10, hidden_size: 64, intermediate_size: 96, num_hidden_layers: 2, num_attention_heads: 4 },
      ...{ num_key_value_heads: 2, rope_theta: theta, tie_word_embeddings: true },
      ...headWidth,
    });
  });
});

describe('hyper-parameters', () => {
  test('absent ones have the values that llama.cpp gives them', async () => {
    expect(await read('llama', { 'llama.attention.head_count_kv': undefined })).toMatchObject({
      ...{ num_key_value_heads: 4, rope_theta: 10_000, rope_scaling: null },
    });
  });

  test('lists of equal numbers are one number; others are refused by name', async () => {
    const of = (values: number[]): Keys => ({ 'llama.attention.head_count_kv': list('u32', values) });
    expect(await read('llama', of([2, 2]))).toMatchObject({ num_key_value_heads: 2 });
    await expectFailure(read('llama', of([2, 4])), 'unsupported', 'llama.attention.head_count_kv', '[2,4]');
  });

  test('heads of their own width, an untied head, biases, a window', async () => {
    const config = await read(
      'llama',
      {
        'llama.attention.key_length': u32(32),
        'llama.attention.value_length': u32(32),
        'llama.attention.sliding_window': u32(128),
      },
      [{ ...embedding, name: 'output.weight' }],
    );
    expect(config).toMatchObject({
      model_type: 'mistral',
      head_dim: 32,
      sliding_window: 128,
      tie_word_embeddings: false,
    });
    expect(await read('llama', {}, [vector('blk.0.attn_q.bias', Array(64).fill(0))])).toMatchObject({
      attention_bias: true,
    });
  });

  test.each<[string, Keys, string[]]>([
    ['another architecture', { 'general.architecture': text('rwkv6') }, ['"rwkv6"', 'llama, qwen2']],
    ['no architecture', { 'general.architecture': undefined }, ['null']],
    ['an adapter', { 'general.type': text('adapter') }, ['general.type', '"adapter"']],
    ['a key that nobody knows', { 'llama.attention.wormhole': text('on') }, ['llama.attention.wormhole', '"on"']],
    ['tokens that see those after them', { 'llama.attention.causal': flag(false) }, ['attention.causal']],
    ['values of another width', { 'llama.attention.value_length': u32(8) }, ['attention.value_length', '8']],
    ['an unknown rotation', { 'llama.rope.scaling.type': text('spiral') }, ['rope.scaling.type', '"spiral"']],
  ])('%s is refused', async (_, own, parts) => {
    await expectFailure(read('llama', own), 'unsupported', directory, ...parts);
  });

  test.each<[string, Keys, string[]]>([
    ['no width', { 'llama.embedding_length': undefined }, ['llama.embedding_length', 'missing']],
    ['a width as a text', { 'llama.embedding_length': text('64') }, ['llama.embedding_length', '"64"']],
    ['half a layer', { 'llama.block_count': f32(1.5) }, ['llama.block_count', '1.5']],
    ['no heads', { 'llama.attention.head_count': u32(0) }, ['attention.head_count', '0']],
    ['five heads', { 'llama.attention.head_count': u32(5) }, ['attention.head_count', '5']],
    ['more layers than tensors', { 'llama.block_count': u32(1_000_000_000) }, ['llama.block_count', '1000000000']],
    ['a count beyond 2^53', { 'llama.block_count': { kind: 'u64', value: 2n ** 60n } }, ['llama.block_count']],
  ])('%s is refused', async (_, own, parts) => {
    await expectFailure(read('llama', own), 'invalid_data', directory, ...parts);
  });

  test('what changes nothing is passed over', async () => {
    const config = await read('llama', {
      'llama.expert_count': u32(0),
      'llama.expert_used_count': u32(0),
      'llama.attention.causal': flag(true),
      'llama.rope.scaling.finetuned': flag(true),
      'llama.tensor_data_layout': text('Meta AI original pth'),
      'general.name': text('anything'),
      'quantize.imatrix.file': text('x.dat'),
      'someone.note': list('text', ['a']),
    });
    expect(config.model_type).toBe('llama');
  });

  test('a window below the context is refused where the family has none', async () => {
    const file = write('qwen3', { 'qwen3.attention.sliding_window': u32(128) });
    await expectFailure(openGgufConfiguration(await file), 'unsupported', 'qwen3.attention.sliding_window', '128');
    expect(await read('qwen3', { 'qwen3.attention.sliding_window': u32(4096) })).toMatchObject({
      use_sliding_window: false,
    });
  });

  test('windows by an interval, by a list, or none', async () => {
    const [window, pattern] = ['gemma3.attention.sliding_window', 'gemma3.attention.sliding_window_pattern'];
    const [slides, full] = ['sliding_attention', 'full_attention'];
    expect(await read('gemma3', { [window]: u32(8) })).toMatchObject({
      sliding_window: 8,
      layer_types: [slides, slides],
    });
    const everySecond = { [window]: u32(8), [pattern]: u32(2) };
    expect(await read('gemma3', everySecond)).toMatchObject({ layer_types: [slides, full] });
    const listed = { [window]: u32(8), [pattern]: list('flag', [false, true]) };
    expect(await read('gemma3', listed)).toMatchObject({ layer_types: [full, slides] });
    expect(await read('gemma3')).toMatchObject({ sliding_window: null, layer_types: [full, full] });
    const short = { [window]: u32(8), [pattern]: list('flag', [true]) };
    await expectFailure(read('gemma3', short), 'invalid_data', pattern, 'each of 2 layers');
  });

  test('numbers stored as f32 are the decimals that were written', () => {
    for (const value of [1e-6, 1e-5, 0.1, 500_000, 1e7, 1.1920929e-7, 8, 0.25]) {
      expect(shortestDecimal(Math.fround(value))).toBe(value);
    }
    expect(shortestDecimal(Math.PI)).toBe(Math.PI);
  });
});

describe('rotation', () => {
  const key = (name: string, value: Value): Keys => ({ [`llama.rope.scaling.${name}`]: value });

  test('linear, yarn', async () => {
    expect(await read('llama', { ...key('type', text('linear')), ...key('factor', f32(4)) })).toMatchObject({
      rope_scaling: { rope_type: 'linear', factor: 4 },
    });
    expect(
      await read('llama', {
        ...key('type', text('yarn')),
        ...key('factor', f32(4)),
        ...key('original_context_length', u32(1024)),
      }),
    ).toMatchObject({
      rope_scaling: {
        rope_type: 'yarn',
        factor: 4,
        original_max_position_embeddings: 1024,
        beta_fast: 32,
        beta_slow: 1,
      },
    });
    expect(await read('llama', { ...key('type', text('none')), ...key('factor', f32(1)) })).toMatchObject({
      rope_scaling: null,
    });
    expect(await read('llama', { 'llama.rope.scale_linear': f32(2) })).toMatchObject({ rope_scaling: { factor: 2 } });
  });

  /** What llama.cpp's converter writes for Llama 3's rule, in f32. */
  function llama3Divisors(theta: number, width: number, factor: number, original: number): number[] {
    const [low, high] = [1, 4];
    return Array.from({ length: width / 2 }, (_, pair) => {
      const wavelength = (2 * Math.PI) / Math.fround(1 / Math.fround(theta ** ((2 * pair) / width)));
      if (wavelength < original / high) return 1;
      if (wavelength > original / low) return factor;
      const smooth = (original / wavelength - low) / (high - low);
      return 1 / ((1 - smooth) / factor + smooth);
    });
  }

  test.each([8, 32])("divisors of Llama 3's rule are its settings (factor %s)", async (factor) => {
    const own = {
      'llama.attention.key_length': u32(64),
      'llama.attention.value_length': u32(64),
      'llama.rope.freq_base': f32(500_000),
    };
    const divisors = vector('rope_freqs.weight', llama3Divisors(500_000, 64, factor, 8192));
    expect(await read('llama', own, [divisors])).toMatchObject({
      rope_theta: 500_000,
      rope_scaling: {
        ...{
          rope_type: 'llama3',
          factor,
          low_freq_factor: 1,
          high_freq_factor: 4,
          original_max_position_embeddings: 8192,
        },
      },
    });
    const source = await openGgufWeights(await write('llama', own, [divisors]));
    expect([...source.tensors.keys()]).toEqual(['model.embed_tokens.weight', 'model.norm.weight']);
    await source.close();
  });

  test('longrope', async () => {
    const [long, short] = [
      [1, 2, 3, 4, 5, 6, 7, 8],
      [1, 1, 1, 1, 1, 1.5, 1.5, 2],
    ];
    const tensors = [vector('rope_factors_long.weight', long), vector('rope_factors_short.weight', short)];
    const own = { ...key('original_context_length', u32(1024)), ...key('attn_factor', f32(1.19)) };
    expect(await read('llama', own, tensors)).toMatchObject({
      rope_scaling: {
        ...{ rope_type: 'longrope', long_factor: long, short_factor: short },
        ...{ original_max_position_embeddings: 1024, attention_factor: 1.19 },
      },
    });
    await expectFailure(read('llama', own, tensors.slice(1)), 'unsupported', 'rope_factors_long', 'missing');
    await expectFailure(read('llama', key('type', text('longrope'))), 'unsupported', 'rope_factors_long', 'missing');
    await expectFailure(read('llama', own), 'unsupported', 'attention factor 1.19');
    const yarn = { ...key('type', text('yarn')), ...key('factor', f32(4)), ...key('yarn_attn_factor', f32(0.5)) };
    expect(await read('llama', yarn)).toMatchObject({
      rope_scaling: { rope_type: 'yarn', attention_factor: 0.5 * (0.1 * Math.log(4) + 1) },
    });
  });

  test('longrope of Phi-3.5 MoE has the factors of the published models', async () => {
    const keys = {
      ...expertsOf('phimoe'),
      'phimoe.rope.scaling.attn_factor': f32(1.19),
      'phimoe.rope.scaling.original_context_length': u32(512),
      'phimoe.attention.sliding_window': u32(0),
    };
    const ones = Array(8).fill(1);
    const factors = [vector('rope_factors_long.weight', ones), vector('rope_factors_short.weight', ones)];
    const { rope_scaling: scaling } = await read('phimoe', keys, factors);
    expect(scaling).toEqual({
      ...{ rope_type: 'longrope', short_factor: ones, long_factor: ones, original_max_position_embeddings: 512 },
      ...{ short_mscale: 1.243163121016122, long_mscale: 1.243163121016122 },
    });
  });

  test('other divisors divide', async () => {
    const list = [1, 1.5, 2, 2, 3, 4, 4, 8];
    const config = await read('llama', {}, [vector('rope_freqs.weight', list)]);
    expect(config.rope_scaling).toMatchObject({
      rope_type: 'longrope',
      short_factor: list,
      long_factor: list,
      factor: 1,
      attention_factor: 1,
    });
    expect(await read('llama', {}, [vector('rope_freqs.weight', Array(8).fill(1))])).toMatchObject({
      rope_scaling: null,
    });
    await expectFailure(
      read('llama', {}, [vector('rope_freqs.weight', [1, 2])]),
      'invalid_data',
      'rope_freqs.weight',
      '8',
    );
    await expectFailure(
      read('llama', {}, [vector('rope_freqs.weight', [0, 1, 1, 1, 1, 1, 1, 1])]),
      'invalid_data',
      'positive',
    );
  });
});

describe('experts', () => {
  const stack = (experts: number): TensorToLayOut => ({
    ...{ name: 'blk.0.ffn_down_exps.weight', dimensions: [96, 64, experts], type: 0 },
    data: new Uint8Array(experts * 96 * 64 * 4),
  });

  test('a Llama with experts is a Mixtral, with a window too', async () => {
    expect(await read('llama', expertsOf('llama'), [stack(8)])).toMatchObject({
      ...{ model_type: 'mixtral', num_local_experts: 8, num_experts_per_tok: 2, sliding_window: null },
    });
    const windowed = { ...expertsOf('llama'), 'llama.attention.sliding_window': u32(128) };
    expect(await read('llama', windowed)).toMatchObject({ model_type: 'mixtral', sliding_window: 128 });
  });

  test('sizes of experts have the values that llama.cpp gives absent ones', async () => {
    expect(await read('qwen2moe', expertsOf('qwen2moe'))).toMatchObject({
      ...{ moe_intermediate_size: 48, shared_expert_intermediate_size: 96, norm_topk_prob: false, num_experts: 8 },
    });
    const own = { 'qwen3moe.expert_feed_forward_length': u32(24), ...expertsOf('qwen3moe') };
    expect(await read('qwen3moe', own)).toMatchObject({ moe_intermediate_size: 24, norm_topk_prob: true });
  });

  test('gpt-oss has windows in layers 0, 2, … and a ramp with bounds as they are', async () => {
    const config = await read('gpt-oss', {
      ...expertsOf('gpt-oss'),
      'gpt-oss.attention.sliding_window': u32(16),
      'gpt-oss.rope.scaling.type': text('yarn'),
      'gpt-oss.rope.scaling.factor': f32(32),
      'gpt-oss.rope.scaling.original_context_length': u32(4096),
    });
    expect(config).toMatchObject({
      layer_types: ['sliding_attention', 'full_attention'],
      rope_scaling: { rope_type: 'yarn', factor: 32, beta_fast: 32, beta_slow: 1, truncate: false },
    });
  });

  test.each<[string, string, Keys, 'unsupported' | 'invalid_data', string]>([
    ['other scores', 'qwen3moe', { expert_gating_func: u32(2) }, 'unsupported', 'expert_gating_func" is 2'],
    ['scores of the chosen', 'olmoe', { expert_gating_func: u32(3) }, 'unsupported', 'expert_gating_func" is 3'],
    ['sums divided', 'olmoe', { expert_weights_norm: flag(true) }, 'unsupported', 'is true; it is false in this'],
    ['a factor', 'qwen3moe', { expert_weights_scale: f32(2.5) }, 'unsupported', 'expert_weights_scale" is 2.5'],
    ['groups', 'qwen3moe', { expert_group_count: u32(4) }, 'unsupported', 'expert_group_count" (4) is not known'],
    [
      'no count of chosen ones',
      'olmoe',
      { expert_used_count: undefined },
      'invalid_data',
      'expert_used_count" is missing',
    ],
    ['more of them than experts', 'olmoe', { expert_used_count: u32(9) }, 'invalid_data', '9 experts of 8'],
    ['more than is read', 'olmoe', { expert_count: u32(4_000_000_000) }, 'unsupported', 'at most 4096'],
    [
      'another number of experts',
      'olmoe',
      { expert_count: u32(7) },
      'invalid_data',
      'ffn_down_exps.weight" has the shape',
    ],
  ])('%s: refused by the name of the key', async (_, architecture, changed, code, message) => {
    const own = Object.fromEntries(Object.entries(changed).map(([key, value]) => [`${architecture}.${key}`, value]));
    const reading = read(architecture, { ...expertsOf(architecture), ...own }, [stack(8)]);
    await expectFailure(reading, code, message);
  });
});

describe('GPT-2 and its relatives', () => {
  const own = (architecture: string, changed: Record<string, Value | undefined> = {}): Keys => ({
    [`${architecture}.attention.layer_norm_rms_epsilon`]: undefined,
    [`${architecture}.attention.layer_norm_epsilon`]: f32(1e-5),
    ...(architecture === 'mpt' ? { 'mpt.attention.max_alibi_bias': f32(8) } : {}),
    ...Object.fromEntries(Object.entries(changed).map(([key, value]) => [`${architecture}.${key}`, value])),
  });
  const alone = { 'attention.head_count_kv': undefined };

  test('the elements inside of a feed-forward layer are those of its tensor', async () => {
    const up = { name: 'blk.0.ffn_up.weight', dimensions: [64, 72], type: 0, data: new Uint8Array(4 * 64 * 72) };
    expect(await read('gpt2', own('gpt2', alone), [up])).toMatchObject({ n_inner: 72, n_embd: 64, n_positions: 4096 });
  });

  test('a share of a head turns', async () => {
    const keys = {
      ...alone,
      'rope.dimension_count': u32(4),
      'rope.freq_base': f32(500),
      use_parallel_residual: flag(false),
    };
    expect(await read('gptneox', own('gptneox', keys))).toMatchObject({
      ...{ rotary_pct: 0.25, rotary_emb_base: 500, use_parallel_residual: false, attention_bias: false },
    });
  });

  test.each<[string, string, Record<string, Value | undefined>, 'unsupported' | 'invalid_data', string]>([
    ['shared keys', 'gpt2', {}, 'unsupported', 'head_count_kv" is 2; heads that share keys are not supported'],
    ['shared keys', 'starcoder', {}, 'unsupported', 'head_count_kv" is 2; heads that share keys are not supported'],
    ['shared keys', 'bloom', {}, 'unsupported', 'head_count_kv" is 2; heads that share keys are not supported'],
    [
      'keys that heads do not share evenly',
      'falcon',
      { 'attention.head_count_kv': u32(3) },
      'invalid_data',
      'head_count_kv" is 3, which 4 heads do not share evenly',
    ],
    [
      'more heads than are read',
      'gptneox',
      { ...alone, 'attention.head_count': u32(2 ** 31), embedding_length: u32(2 ** 31) },
      'unsupported',
      'attention.head_count" is 2147483648; at most 4096',
    ],
    ['another layout', 'falcon', { tensor_data_layout: text('x') }, 'unsupported', 'tensor_data_layout" is "x"'],
    [
      'no ALiBi',
      'mpt',
      { ...alone, 'attention.max_alibi_bias': undefined },
      'unsupported',
      'positions would be learned',
    ],
    ['other slopes', 'mpt', { ...alone, 'attention.max_alibi_bias': f32(16) }, 'unsupported', 'is 16; supported is 8'],
    ['limits', 'mpt', { ...alone, 'attention.clamp_kqv': f32(6) }, 'unsupported', 'attention.clamp_kqv" is 6'],
    [
      'a rotation',
      'bloom',
      { ...alone, 'rope.freq_base': f32(500) },
      'unsupported',
      'rope.freq_base" (500) is not known',
    ],
  ])('%s of %s: refused by the name of the key', async (_, architecture, changed, code, message) => {
    await expectFailure(read(architecture, own(architecture, changed)), code, message);
  });

  test.each([
    ['granitehybrid', 'its Mamba layers are not implemented'],
    ['modern-bert', 'no head that says the words at masks'],
    ['gptj', 'neither writes nor reads'],
  ])('%s is refused with what is missing', async (architecture, message) => {
    await expectFailure(read(architecture), 'unsupported', `"${architecture}" is not supported in GGUF: `, message);
  });

  test('a fused tensor of other rows is refused by its name', async () => {
    const fused = { name: 'blk.0.attn_qkv.weight', dimensions: [64, 120], type: 0, data: new Uint8Array(4 * 64 * 120) };
    const opening = openGgufWeights(await write('llama', {}, [fused]));
    await expectFailure(
      opening,
      'invalid_data',
      '"blk.0.attn_qkv.weight": expected 128 rows, those of 4 queries, 2 keys',
    );
  });
});

describe('layers that guess further tokens', () => {
  const guessing = (count: number): Keys => ({ 'qwen2.nextn_predict_layers': u32(count) });
  const tensors = [0, 1].flatMap((layer) => [
    vector(`blk.${layer}.attn_norm.weight`, Array(64).fill(1)),
    ...(layer === 1 ? [vector('blk.1.nextn.enorm.weight', Array(64).fill(1))] : []),
  ]);

  test('are left out, whatever they have', async () => {
    const file = await write('qwen2', guessing(1), tensors);
    expect(await openGgufConfiguration(file)).toMatchObject({ num_hidden_layers: 1 });
    const source = await openGgufWeights(file);
    expect([...source.tensors.keys()].filter((name) => /layers|blk/.test(name))).toEqual([
      'model.layers.0.input_layernorm.weight',
    ]);
    await source.close();
  });

  test('are not more than all', async () => {
    await expectFailure(read('qwen2', guessing(3), tensors), 'invalid_data', 'nextn_predict_layers" is 3, of 2 layers');
  });
});

describe('rates of the delta rule', () => {
  const keys: Keys = {
    'qwen35.attention.key_length': u32(16),
    'qwen35.rope.dimension_count': u32(16),
    'qwen35.full_attention_interval': u32(2),
    'qwen35.ssm.conv_kernel': u32(4),
    'qwen35.ssm.state_size': u32(4),
    'qwen35.ssm.group_count': u32(2),
    'qwen35.ssm.time_step_rank': u32(2),
    'qwen35.ssm.inner_size': u32(8),
  };
  const ratesOf = async (...rates: number[]): Promise<Float32Array> => {
    const source = await openGgufWeights(await write('qwen35', keys, [vector('blk.0.ssm_a', rates)]));
    try {
      const name = [...source.tensors.keys()].find((each) => each.endsWith('A_log'))!;
      return new Float32Array((await source.read(name)).slice().buffer);
    } finally {
      await source.close();
    }
  };

  test('are logarithms of what files have negated', async () => {
    expect([...(await ratesOf(-1, -2))]).toEqual([0, Math.fround(Math.log(2))]);
  });

  test.each([0, 0.5, Number.NaN])('%d is refused by the name of its tensor', async (rate) => {
    await expectFailure(ratesOf(-1, rate), 'invalid_data', `"blk.0.ssm_a": expected rates below 0, got ${rate}`);
  });
});
