/** What is wrong in a quantised checkpoint, or not read, is refused by its name. */

import { describe, expect, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { quantizedFormat } from '../../src/quantized/index.ts';
import { withSeed } from '../support/random.ts';
import { type Case, caseNamed, cases, decode, open, weightName } from './support.ts';

const format = (config: unknown) => quantizedFormat({ quantization_config: config }, 'config.json');

const pack = 'pack 4 bits, groups of 128 with zeros, F32';

describe('config.json', () => {
  test('without a method, or with an empty one, the weights are plain', () => {
    for (const config of [undefined, null, {}]) expect(format(config)).toBeUndefined();
  });

  test.each([
    ['a list', [], 'invalid_data', 'expected an object'],
    [
      'no method',
      { bits: 4 },
      'unsupported',
      'the method null is not supported; supported are compressed-tensors, fp8',
    ],
    ['another method', { quant_method: 'aqlm' }, 'unsupported', '"aqlm"'],
    ['GPTQ in 3 bits', { quant_method: 'gptq', bits: 3 }, 'unsupported', '"bits" must be 4 or 8; got 3'],
    ['GPTQ by module', { quant_method: 'gptq', bits: 4, dynamic: { '+:a': { bits: 8 } } }, 'unsupported', '"dynamic"'],
    ['GPTQ for Marlin', { quant_method: 'gptq', checkpoint_format: 'marlin' }, 'unsupported', '"checkpoint_format"'],
    ['AWQ of another version', { quant_method: 'awq', version: 'gemv' }, 'unsupported', '"version"'],
    ['AWQ in 8 bits', { quant_method: 'awq', bits: 8 }, 'unsupported', '"bits" must be 4; got 8'],
    ['FP8 scales of 8 bits', { quant_method: 'fp8', scale_fmt: 'ue8m0' }, 'unsupported', '"scale_fmt"'],
    [
      'FP8 blocks of no size',
      { quant_method: 'fp8', weight_block_size: [128, 0] },
      'invalid_data',
      'weight_block_size',
    ],
    [
      'codes in other words',
      { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_quant_storage: 'bfloat16' },
      'unsupported',
      'bnb_4bit_quant_storage',
    ],
    ['neither 4 nor 8 bits', { quant_method: 'bitsandbytes' }, 'invalid_data', 'load_in_4bit'],
    ['an unknown key', { quant_method: 'awq', rotation: 'hadamard' }, 'unsupported', '"rotation" is not known here'],
  ])('%s', (_, config, code, message) => {
    expect(() => format(config)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });

  test.each<[string, (config: Record<string, unknown>) => void, string]>([
    ['NVFP4', (config) => Object.assign(config, { format: 'nvfp4-pack-quantized' }), '"nvfp4-pack-quantized"'],
    ['3 bits', (config) => Object.assign(weightsOf(config), { num_bits: 3 }), '"num_bits" must be 8 or 4; got 3'],
    ['a cache in 8 bits', (config) => Object.assign(config, { kv_cache_scheme: { num_bits: 8 } }), '"kv_cache_scheme"'],
    [
      'sparse weights',
      (config) => Object.assign(config, { sparsity_config: { format: 'sparse-24-bitmask' } }),
      'sparse-24',
    ],
    [
      'rotations',
      (config) => Object.assign(config, { transform_config: { config_groups: { a: 1 } } }),
      'transform_config',
    ],
    ['frozen weights', (config) => Object.assign(config, { quantization_status: 'frozen' }), '"frozen"'],
    ['an unknown strategy', (config) => Object.assign(weightsOf(config), { strategy: 'token' }), '"token"'],
  ])('compressed-tensors: %s', (_, change, message) => {
    const { config } = caseNamed(pack);
    change(config);
    expect(() => format(config)).toThrow(message);
  });
});

/** The settings of the only group. */
function weightsOf(config: Record<string, unknown>): Record<string, unknown> {
  const groups = config.config_groups as Record<string, Record<string, Record<string, unknown>>>;
  return groups.group_0!.weights!;
}

describe('targets', () => {
  const withGroup = (group: Record<string, unknown>, ignore: string[] = []): Case => {
    const each = caseNamed(pack);
    Object.assign((each.config.config_groups as Record<string, object>).group_0!, group);
    return { ...each, config: { ...each.config, ignore } };
  };

  test.each([['Linear'], ['re:.*q_proj$'], ['model.layers.0.q_proj']])('%s has the module', async (target) => {
    expect((await open(withGroup({ targets: [target] }))).tensors.has(weightName)).toBe(true);
  });

  test('a name goes before an expression, and that before a class', async () => {
    const each = withGroup({ targets: ['Linear'] });
    const groups = each.config.config_groups as Record<string, Record<string, unknown>>;
    const wrong = { ...groups.group_0!, weights: { ...(groups.group_0!.weights as object), num_bits: 8 } };
    each.config.config_groups = { a: wrong, b: { ...groups.group_0!, targets: ['re:.*q_proj'] } };
    expect((await open(each)).tensors.get(weightName)!.dtype).toBe('q4z');
  });

  test.each([
    ['none of them', withGroup({ targets: ['re:.*k_proj'] }), 'no "targets" in config.json have its module'],
    ['ignored', withGroup({}, ['re:.*q_proj']), '"ignore" in config.json has its module'],
    ['no expression', withGroup({ targets: ['re:('] }), 'regular expression "re:("'],
  ])('%s: refused', async (_, each, message) => {
    await expect(open(each)).rejects.toThrow(message);
  });
});

describe('tensors', () => {
  test.each<[string, string, (tensors: Case['tensors']) => void, string]>([
    [
      'no scales',
      pack,
      (tensors) => delete tensors.weight_scale,
      'q_proj.weight_scale": expected it beside the other parts',
    ],
    ['no zeros', pack, (tensors) => delete tensors.weight_zero_point, 'q_proj.weight_zero_point": expected it'],
    ['scales of another shape', pack, (tensors) => tensors.weight_scale!.shape.reverse(), 'expected the shape [16, 2]'],
    ['scales of another type', pack, (tensors) => Object.assign(tensors.weight_scale!, { dtype: 'I32' }), 'got I32'],
    ['a huge count', pack, (tensors) => setShape(tensors, 2n ** 60n), 'expected the shape [16, 144115188075855870]'],
    ['fewer than no columns', pack, (tensors) => setShape(tensors, -1n), 'expected the shape'],
    ['a group that is none', 'GPTQ, desc_act', (tensors) => setFirst(tensors.g_idx!, 99), 'from 0 to 7, got 99'],
    [
      'too few groups',
      'GPTQ, groups of 128',
      (tensors) => Object.assign(tensors.scales!, { shape: [1, 32] }),
      'groups of 128 of 256',
    ],
    ['another table', 'NF4', (tensors) => setFirst(tensors['weight.quant_map']!, 1), 'expected the table of nf4'],
    [
      'fewer codes',
      'NF4',
      (tensors) => Object.assign(tensors.weight!, { data: new Uint8Array(3) }),
      'expected 2048 bytes',
    ],
    ['no JSON', 'NF4', (tensors) => setFirst(tensors['weight.quant_state.bitsandbytes__nf4']!, 1), 'expected JSON'],
    [
      'another order',
      '8 bits of bitsandbytes',
      (tensors) => Object.assign(tensors.weight_format!, { data: Uint8Array.of(1) }),
      'expected 0',
    ],
    [
      'E5M2',
      'FP8, rows of odd length',
      (tensors) => Object.assign(tensors.weight!, { dtype: 'F8_E5M2' }),
      'got F8_E5M2',
    ],
    [
      'floats without scales',
      'FP8, rows of odd length',
      (tensors) => delete tensors.weight_scale_inv,
      'weight_scale_inv',
    ],
    ['none at all', 'AWQ, groups of 128', (tensors) => delete tensors.qweight, 'no tensor is one'],
  ])('%s', async (_, name, change, message) => {
    const each = caseNamed(name);
    change(each.tensors);
    const opened = open(each).then((source) => source.read(weightName));
    await expect(opened).rejects.toThrow(SubzeroError);
    await expect(opened).rejects.toThrow(message);
  });

  test('tensors that belong to nothing stay, and are refused by who reads the model', async () => {
    const each = caseNamed('GPTQ, groups of 128');
    each.tensors.perm = { dtype: 'I32', shape: [1], data: new Uint8Array(4) };
    expect([...(await open(each)).tensors.keys()]).toEqual(['model.layers.0.q_proj.perm', weightName]);
  });

  test('changed at random: typed errors, or a matrix of the size that it says', async () => {
    await withSeed('fuzz of quantised checkpoints', async (random) => {
      let [read, refused] = [0, 0];
      for (let round = 0; round < 600; round++) {
        const { config, tensors } = caseNamed(random.pick(cases).name);
        const part = tensors[random.pick(Object.keys(tensors))]!;
        const side = random.integer(0, 2);
        if (random.integer(0, 3) === 0) part.dtype = random.pick(['F32', 'I32', 'U8', 'F16', 'BF16', 'I8', 'F8_E4M3']);
        else if (side < part.shape.length) part.shape[side] = random.pick([0, 1, 3, 2 ** 31, 2 ** 52]);
        else if (random.integer(0, 1) === 0) part.data = noise(part, random.integer(0, 255));
        else if (typeof config.bits === 'number') config.group_size = random.pick([-1, 1, 7, 2 ** 40]);
        // A file whose tensors have other bytes than their shapes say does not get this far.
        const unit = { F32: 4, I32: 4, F16: 2, BF16: 2, I64: 8 }[part.dtype] ?? 1;
        const bytes = part.shape.reduce((product, count) => product * count, unit);
        if (bytes > 2 ** 20) part.shape = [];
        else part.data = resized(part, bytes);
        try {
          const source = await open({ config, tensors });
          const entry = source.tensors.get(weightName);
          if (entry) expect((await source.read(weightName)).length).toBe(entry.byteLength);
          read++;
        } catch (error) {
          expect(error).toBeInstanceOf(SubzeroError);
          refused++;
        }
      }
      expect(Math.min(read, refused)).toBeGreaterThan(50);
    });
  });
});

function setShape(tensors: Case['tensors'], columns: bigint): void {
  tensors.weight_shape!.data = new Uint8Array(BigInt64Array.of(16n, columns).buffer);
}

function setFirst(tensor: Case['tensors'][string], value: number): void {
  const data = bytesOf(tensor);
  data[0] = value;
  tensor.data = data;
}

const bytesOf = ({ data }: Case['tensors'][string]) => (typeof data === 'string' ? decode(data) : data);

const noise = (tensor: Case['tensors'][string], byte: number) => bytesOf(tensor).fill(byte);

function resized(tensor: Case['tensors'][string], bytes: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(bytes);
  data.set(bytesOf(tensor).subarray(0, bytes));
  return data;
}
