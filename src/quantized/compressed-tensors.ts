/**
 * compressed-tensors, which llm-compressor writes: `pack-quantized` (4 and 8 bits in 32-bit words), `int-quantized`
 * and `float-quantized` (an element by itself). value = scale · (code − zero).
 *
 * @see https://github.com/vllm-project/compressed-tensors, compressors/ and quantization/lifecycle/forward.py
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { unpackNibbles } from '../weights/groups.ts';
import type { Fields } from './fields.ts';
import { floatMatrix } from './floats.ts';
import { readOrder } from './gptq.ts';
import { integerMatrix } from './integers.ts';
import type { QuantizedFormat, QuantizedMatrix, ScaleType } from './matrix.ts';
import { type Grid, type Parts, wordsOf } from './parts.ts';

const formats = ['pack-quantized', 'int-quantized', 'float-quantized', 'naive-quantized'] as const;

/** How the weights of some modules are quantised. */
interface Scheme {
  format: (typeof formats)[number];
  targets: readonly string[];
  bits: 4 | 8;
  type: 'int' | 'float';
  symmetric: boolean;
  /** Rows and columns that share a scale; all of a side where it is undefined. */
  block: readonly [rows: number | undefined, columns: number | undefined];
}

/** Reads the settings. */
export function compressedTensorsFormat(fields: Fields): QuantizedFormat {
  const format = fields.value('format');
  fields.choice('quantization_status', 'compressed');
  for (const name of ['kv_cache_scheme', 'transform_config']) {
    const found = fields.value(name);
    if (found !== undefined && JSON.stringify(found) !== '{}') {
      throw fields.error('unsupported', name, 'must be absent: activations would be changed by it', found);
    }
  }
  fields.object('sparsity_config')?.choice('format', 'dense');
  const ignored = fields.texts('ignore');
  const groups = fields.object('config_groups')?.entries ?? [];
  if (groups.length === 0) throw fields.error('invalid_data', 'config_groups', 'must have an entry', undefined);
  const schemes = groups.map(([, group]) => readScheme(group, format));
  const quantises = groups.some(([, group]) => group.value('input_activations') !== undefined);
  fields.finish('quant_method', 'version', 'global_compression_ratio');
  const described = schemes.map(({ bits, type, format: each, block: [, columns] }) => {
    return (
      `${each}, ${bits} bits${type === 'float' ? ' (FP8)' : ''}, ` +
      `${columns ? `groups of ${columns}` : 'whole rows'}`
    );
  });
  return {
    description: `compressed-tensors: ${[...new Set(described)].join('; ')}`,
    notes: quantises ? ['the checkpoint is meant for quantised activations; here they are computed in full'] : [],
    matrices: async (parts) => {
      const matrices = new Map<string, QuantizedMatrix>();
      for (const module of quantizedModules(parts)) {
        const scheme = schemeOf(parts, module, schemes, ignored);
        matrices.set(`${module}.weight`, await readModule(parts, module, scheme));
      }
      return matrices;
    },
  };
}

function readScheme(group: Fields, general: unknown): Scheme {
  const own = group.value('format') ?? general;
  const format = formats.find((name) => name === own);
  if (!format) throw group.error('unsupported', 'format', `must be ${formats.slice(0, 3).join(' or ')}`, own);
  const weights = group.object('weights');
  if (!weights) throw group.error('unsupported', 'weights', 'must be there', undefined);
  const targets = group.texts('targets');
  const activations = group.value('output_activations');
  if (activations !== undefined) throw group.error('unsupported', 'output_activations', 'must be absent', activations);
  group.value('input_activations');
  group.finish();
  const type = weights.choice('type', 'int', 'float');
  const bits = format === 'pack-quantized' ? weights.choice('num_bits', 8, 4) : weights.choice('num_bits', 8);
  if (type === 'float' ? format === 'pack-quantized' : format === 'float-quantized') {
    throw weights.error('unsupported', 'type', `does not go with the format ${format}`, type);
  }
  const symmetric = weights.flag('symmetric', true);
  weights.choice('dynamic', false);
  const groupSize = weights.groupSize('group_size');
  const byDefault = groupSize === undefined ? 'tensor' : groupSize === -1 ? 'channel' : 'group';
  const strategy = weights.value('strategy') ?? byDefault;
  const block = blockOf(weights, strategy, groupSize);
  weights.finish('actorder', 'observer', 'observer_kwargs', 'scale_dtype', 'zp_dtype');
  return { format, targets, bits, type, symmetric, block };
}

function blockOf(weights: Fields, strategy: unknown, groupSize: number | undefined): Scheme['block'] {
  const structure = weights.blockSize('block_structure');
  switch (strategy) {
    case 'tensor':
      return [undefined, undefined];
    case 'channel':
      return [1, undefined];
    case 'group':
      if (groupSize === undefined || groupSize < 1) {
        throw weights.error('invalid_data', 'group_size', 'must be a whole number from 1 on', groupSize);
      }
      return [1, groupSize];
    case 'block':
      if (!structure) throw weights.error('invalid_data', 'block_structure', 'must be two sizes', structure);
      return structure;
    default:
      throw weights.error('unsupported', 'strategy', 'must be tensor, channel, group or block', strategy);
  }
}

/** The modules with tensors that are not as usual. */
function quantizedModules(parts: Parts): string[] {
  return [...new Set([...parts.modulesWith('weight_packed'), ...parts.modulesWith('weight_scale')])];
}

/** The scheme of a module: by name before regular expressions before classes, as the library looks. */
function schemeOf(parts: Parts, module: string, schemes: readonly Scheme[], ignored: readonly string[]): Scheme {
  const [name] = parts.present(`${module}.weight_packed`, `${module}.weight`);
  if (ignored.some((pattern) => matches(module, pattern))) {
    throw parts.error(name ?? module, 'it is quantised, but "ignore" in config.json has its module');
  }
  const ranks = ['name', 'expression', 'class'] as const;
  for (const rank of ranks) {
    const found = schemes.find(({ targets }) => targets.some((target) => matches(module, target) === rank));
    if (found) return found;
  }
  throw parts.error(name ?? module, 'it is quantised, but no "targets" in config.json have its module');
}

/** How a target means a module. */
function matches(module: string, target: string): 'name' | 'expression' | 'class' | undefined {
  if (target === module) return 'name';
  if (!target.startsWith('re:')) return target === 'Linear' && !/embed/.test(module) ? 'class' : undefined;
  try {
    return new RegExp(`^(?:${target.slice(3)})`).test(module) ? 'expression' : undefined;
  } catch (error) {
    throw new SubzeroError('unsupported', `config.json: cannot read the regular expression "${target}" of a target`, {
      cause: error,
    });
  }
}

async function readModule(parts: Parts, module: string, scheme: Scheme): Promise<QuantizedMatrix> {
  const beside = parts.present(`${module}.input_scale`, `${module}.input_zero_point`);
  if (scheme.symmetric) beside.push(...(await emptyZeroPoint(parts, `${module}.weight_zero_point`)));
  if (scheme.format === 'pack-quantized') return await readPacked(parts, module, scheme, beside);
  const name = `${module}.weight`;
  const scale = `${module}.weight_scale`;
  const shape = parts.expect(name, [scheme.type === 'int' ? 'I8' : 'F8_E4M3'], 2).shape as [number, number];
  const sides = sidesOf(scheme, shape);
  const grid = parts.scaleGrid(scale, shape, sides);
  if (scheme.type === 'float') {
    return floatMatrix(parts, { name, shape, grid, groupSize: sides[1], parts: [name, scale, ...beside] });
  }
  const zero = `${module}.weight_zero_point`;
  const zeros = scheme.symmetric ? undefined : zeroGrid(parts, zero, grid);
  return integerMatrix({
    shape,
    parts: [name, scale, ...(zeros ? [zero] : []), ...beside],
    bits: 8,
    groupSize: sides[1],
    scaleType: grid.dtype as ScaleType,
    centred: zeros === undefined,
    read: async (start, end) => ({
      codes: new Int8Array((await parts.read(name, start * shape[1], (end - start) * shape[1])).buffer),
      scales: await parts.gridRows(grid, start, end),
      zeros: zeros ? await parts.gridRows(zeros, start, end) : 0,
    }),
  });
}

/** Rows and columns that share a scale. */
function sidesOf({ block: [rows, columns] }: Scheme, shape: readonly [number, number]): [number, number] {
  return [rows ?? shape[0], columns ?? shape[1]];
}

/** Zeros lie as the scales do. */
function zeroGrid(parts: Parts, name: string, grid: Grid): Grid {
  const { shape } = parts.get(grid.name)!;
  parts.expectShape(name, ['I8'], shape, `as "${grid.name}" has`);
  return { ...grid, name, dtype: 'I8' };
}

/** Zeros that some files have though their quantisation is symmetric; they must be 0 then. */
async function emptyZeroPoint(parts: Parts, name: string): Promise<string[]> {
  if (!parts.has(name)) return [];
  if ((await parts.read(name)).every((byte) => byte === 0)) return [name];
  throw parts.error(name, 'config.json says that the quantisation is symmetric, but it is not all 0');
}

async function readPacked(
  parts: Parts,
  module: string,
  scheme: Scheme,
  beside: readonly string[],
): Promise<QuantizedMatrix> {
  const { bits, symmetric } = scheme;
  const [packed, scale, shapeName, zero, order] = ['packed', 'scale', 'shape', 'zero_point', 'g_idx'].map((part) => {
    return `${module}.weight_${part}`;
  }) as [string, string, string, string, string];
  const [rows, words] = parts.expect(packed, ['I32'], 2).shape as [number, number];
  const columns = await columnsOf(parts, shapeName, rows);
  const shape = [rows, columns] as const;
  parts.expectShape(packed, ['I32'], [rows, Math.ceil((columns * bits) / 32)], `${columns} codes of ${bits} bits`);
  const sides = sidesOf(scheme, shape);
  const grid = parts.scaleGrid(scale, shape, sides);
  if (!symmetric) {
    const down = Math.ceil((rows * bits) / 32);
    parts.expectShape(zero, ['I32'], [down, grid.groups], `${rows} zeros of ${bits} bits for each group`);
  }
  const groupOf = parts.has(order) ? await orderOf(parts, order, columns, grid.groups, sides[1]) : undefined;
  // In 8 bits, codes from 0 on become signed ones.
  const centre = bits === 4 ? 8 : 0;
  return integerMatrix({
    shape,
    parts: [packed, scale, shapeName, ...(symmetric ? [] : [zero]), ...parts.present(order), ...beside],
    bits,
    groupSize: sides[1],
    scaleType: grid.dtype as ScaleType,
    centred: symmetric && bits === 8,
    ...(groupOf ? { groupOf } : {}),
    read: async (start, end) => ({
      codes: unpackRows(await parts.read(packed, start * words * 4, (end - start) * words * 4), columns, bits),
      scales: await parts.gridRows(grid, start, end),
      zeros: symmetric
        ? centre
        : unpackZeros(wordsOf(await parts.whole(module, zero)), { groups: grid.groups, bits }, start, end),
    }),
  });
}

/** The columns of the matrix, which words may be more than. */
async function columnsOf(parts: Parts, name: string, rows: number): Promise<number> {
  parts.expectShape(name, ['I64'], [2], 'rows and columns');
  const sizes = new BigInt64Array((await parts.read(name)).buffer);
  if (sizes[0] !== BigInt(rows)) {
    throw parts.error(name, `expected ${rows} rows, as "weight_packed" has, got ${sizes[0]}`);
  }
  // A count of more than 2^53 has no words either.
  return Number(sizes[1]);
}

async function orderOf(
  parts: Parts,
  name: string,
  columns: number,
  groups: number,
  groupSize: number,
): Promise<Int32Array | undefined> {
  parts.expectShape(name, ['I32'], [columns], 'a group for each column');
  const bytes = await parts.read(name);
  // Before calibration the library has -1 everywhere.
  if (wordsOf(bytes).every((group) => group === -1)) return undefined;
  return readOrder(parts, name, bytes, groups, groupSize);
}

/** Codes of rows of words; in 4 bits they lie as nibbles, low ones first. */
function unpackRows(bytes: Uint8Array, columns: number, bits: 4 | 8): Int8Array {
  const perRow = (Math.ceil((columns * bits) / 32) * 32) / bits;
  const codes = new Int8Array((bytes.length * 8) / bits);
  if (bits === 4) unpackNibbles(bytes, 0, codes);
  else for (const [index, byte] of bytes.entries()) codes[index] = byte - 128;
  if (perRow === columns) return codes;
  const rows = codes.length / perRow;
  const tight = new Int8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    tight.set(codes.subarray(row * perRow, row * perRow + columns), row * columns);
  }
  return tight;
}

/** Zeros of some rows, which are packed from row to row. */
function unpackZeros(
  words: Int32Array,
  { groups, bits }: { groups: number; bits: 4 | 8 },
  start: number,
  end: number,
): Float32Array {
  const perWord = 32 / bits;
  return Float32Array.from({ length: (end - start) * groups }, (_, at) => {
    const row = start + Math.floor(at / groups);
    const word = words[Math.floor(row / perWord) * groups + (at % groups)]!;
    const code = (word >>> (bits * (row % perWord))) & (2 ** bits - 1);
    return bits === 4 ? code : code - 128;
  });
}
