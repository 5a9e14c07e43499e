/**
 * How a GGUF file says that heads are rotated, as the `rope_scaling` of config.json.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { type Keys, shortestDecimal } from './keys.ts';

/** The tensors of rotary divisors; they are no parameters. */
export const ropeTensors = ['rope_freqs.weight', 'rope_factors_long.weight', 'rope_factors_short.weight'] as const;

/** The values of one of the tensors, or `undefined` if the file does not have it. */
export type ReadDivisors = (name: (typeof ropeTensors)[number]) => Promise<Float32Array | undefined>;

/**
 * The rotary settings.
 * @param heads.width elements of a head
 * @param heads.context `max_position_embeddings`
 * @param heads.mscale whether the architecture has YaRN's two factors of attention, which are equal
 * @returns `rope_theta`, and `rope_scaling` or null
 */
export async function readRope(
  keys: Keys,
  { width, context, mscale = false }: { width: number; context: number; mscale?: boolean },
  read: ReadDivisors,
): Promise<Record<string, unknown>> {
  const theta = keys.real('rope.freq_base', 10_000);
  const turned = keys.whole('rope.dimension_count', width);
  const share = turned === width ? {} : { partial_rotary_factor: turned / width };
  const factor = keys.real('rope.scaling.factor', keys.real('rope.scale_linear', 1));
  const original = keys.whole('rope.scaling.original_context_length', null);
  const type = keys.text('rope.scaling.type', factor === 1 ? 'none' : 'linear');
  const attention = keys.real('rope.scaling.attn_factor', null);
  const divisors = await read('rope_freqs.weight');
  const [long, short] = [await read('rope_factors_long.weight'), await read('rope_factors_short.weight')];
  const scaled = (scaling: Record<string, unknown> | null) => ({ rope_theta: theta, ...share, rope_scaling: scaling });
  const wrong = (what: string): SubzeroError =>
    keys.error('unsupported', 'rope.scaling.type', `is "${type}"; supported are none, linear, yarn, longrope: ${what}`);
  if (long || short) {
    if (!long || !short) throw wrong('one of the tensors rope_factors_long and rope_factors_short is missing');
    if (divisors || !['longrope', 'none'].includes(type)) throw wrong('it has rope_factors_long.weight beside it');
    return scaled({
      rope_type: 'longrope',
      short_factor: [...short].map(shortestDecimal),
      long_factor: [...long].map(shortestDecimal),
      original_max_position_embeddings: original ?? context,
      ...(attention === null ? {} : { attention_factor: attention }),
    });
  }
  if (type !== 'yarn' && attention !== null && attention !== 1) throw wrong(`it has the attention factor ${attention}`);
  if (divisors) {
    if (type !== 'none') throw wrong('it has rope_freqs.weight beside it');
    return scaled(ofDivisors(divisors, { theta, width: turned, context }, keys.file));
  }
  switch (type) {
    case 'none':
      return scaled(null);
    case 'linear':
      return scaled(factor === 1 ? null : { rope_type: 'linear', factor });
    case 'yarn':
      return scaled({
        rope_type: 'yarn',
        factor,
        ...(original === null ? {} : { original_max_position_embeddings: original }),
        ...yarnFactors(keys, factor, attention ?? 1, mscale),
      });
    case 'longrope':
      throw wrong('its tensors rope_factors_long and rope_factors_short are missing');
    default:
      throw wrong('another rule');
  }
}

function yarnFactors(keys: Keys, factor: number, attention: number, mscale: boolean): Record<string, number> {
  const fast = keys.real('rope.scaling.yarn_beta_fast', 32);
  const slow = keys.real('rope.scaling.yarn_beta_slow', 1);
  const multiplier = keys.real('rope.scaling.yarn_log_multiplier', 0);
  if (multiplier !== 0 && !mscale) {
    throw keys.error('unsupported', 'rope.scaling.yarn_log_multiplier', `is ${multiplier}; supported is 0`);
  }
  const own = keys.real('rope.scaling.yarn_attn_factor', 1) * attention;
  return {
    beta_fast: fast,
    beta_slow: slow,
    ...(multiplier === 0 ? {} : { mscale: multiplier, mscale_all_dim: multiplier }),
    // The factors of the file multiply what the rule infers.
    ...(own === 1 ? {} : { attention_factor: own * (factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1) }),
  };
}

/** The settings of Llama 3's rule in the published models, for which the converter writes divisors. */
const llama3Settings = { low_freq_factor: 1, high_freq_factor: 4 };
/** Original contexts; the first is that of the published models, and the one that the converter assumes. */
const llama3Contexts = [8192, 4096, 16_384, 32_768];

/**
 * Divisors of the frequencies as settings: those of Llama 3's rule where they are its, the divisors themselves else.
 */
function ofDivisors(
  divisors: Float32Array,
  { theta, width, context }: { theta: number; width: number; context: number },
  file: string,
): Record<string, unknown> | null {
  if (divisors.length !== width / 2 || !divisors.every((divisor) => divisor > 0 && Number.isFinite(divisor))) {
    throw new SubzeroError(
      'invalid_data',
      `${file}: tensor "rope_freqs.weight": expected ${width / 2} positive numbers, half of the ${width} elements ` +
        `that turn`,
      { parameter: file },
    );
  }
  if (divisors.every((divisor) => divisor === 1)) return null;
  const factor = shortestDecimal(divisors.reduce((most, divisor) => Math.max(most, divisor)));
  for (const original of llama3Contexts) {
    const { low_freq_factor: low, high_freq_factor: high } = llama3Settings;
    const isRule = divisors.every((divisor, pair) => {
      const turns = (original * theta ** ((-2 * pair) / width)) / (2 * Math.PI);
      const smooth = Math.min(1, Math.max(0, (turns - low) / (high - low)));
      const expected = 1 / ((1 - smooth) / factor + smooth);
      return Math.abs(divisor - expected) <= 1e-4 * expected;
    });
    if (isRule) return { rope_type: 'llama3', factor, ...llama3Settings, original_max_position_embeddings: original };
  }
  const list = [...divisors].map(shortestDecimal);
  // With one list for all lengths and no attention factor, this rule does nothing but divide.
  return {
    rope_type: 'longrope',
    short_factor: list,
    long_factor: list,
    factor: 1,
    attention_factor: 1,
    original_max_position_embeddings: context,
  };
}

/**
 * The tensor of divisors that says Llama 3's rule of frequencies, as llama.cpp's converter makes it.
 * @param width elements of a head that turn
 */
export function ropeDivisors(
  config: Readonly<Record<string, unknown>>,
  width: number,
): Float32Array<ArrayBuffer> | undefined {
  const parameters = (config.rope_parameters ?? {}) as Readonly<Record<string, unknown>>;
  const scaling = (config.rope_scaling ?? parameters) as Record<string, number | string | undefined>;
  if ((scaling.rope_type ?? scaling.type) !== 'llama3') return undefined;
  const theta = Number(config.rope_theta ?? parameters.rope_theta ?? 10_000);
  const [factor, low, high, original] = [
    ...[scaling.factor, scaling.low_freq_factor, scaling.high_freq_factor],
    scaling.original_max_position_embeddings,
  ].map(Number) as [number, number, number, number];
  return Float32Array.from({ length: width / 2 }, (_, pair) => {
    const turns = (original * theta ** ((-2 * pair) / width)) / (2 * Math.PI);
    const smooth = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
