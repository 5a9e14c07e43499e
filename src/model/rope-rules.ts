/**
 * Scaling rules of rotary position embedding: what each reads from config.json, and the angles that it makes, in f64.
 *
 * As `modeling_rope_utils` of Hugging Face transformers 5.24 has them, and the papers that it cites: YaRN (arXiv
 * 2309.00071), LongRoPE (arXiv 2402.13753). Angles of `dynamic` and `longrope` depend on the length of the sequence.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { brief, type Config } from './config-fields.ts';

export type RopeScaling =
  | { type: 'default' }
  | { type: 'linear'; factor: number }
  | { type: 'proportional'; factor: number; share: number }
  | { type: 'dynamic'; factor: number; trainedContext: number }
  | { type: 'llama3'; factor: number; lowFrequencyFactor: number; highFrequencyFactor: number; originalContext: number }
  | {
      type: 'yarn';
      factor: number;
      originalContext: number;
      betaFast: number;
      betaSlow: number;
      /** The ends of the ramp are whole pairs. */
      truncate: boolean;
      attentionFactor: number;
    }
  | {
      type: 'longrope';
      /** Divisors of the frequencies up to the original context and beyond it. */
      shortFactors: number[];
      longFactors: number[];
      originalContext: number;
      /** The length that the model can read, in multiples of the original context. */
      factor: number;
      attentionFactor: number;
    };

/** What rules are read from: the rotary settings, and what they refer to outside. */
export interface RopeSettings {
  values: Config;
  /** Elements of a head. */
  width: number;
  /** `max_position_embeddings`. */
  context: number;
  /** `original_max_position_embeddings` beside the rotary settings, which goes before the one inside. */
  outerOriginalContext: number | null;
}

interface Rule<Scaling> {
  read: (settings: RopeSettings) => Scaling;
  /** Inverse frequencies of `width / 2` pairs. @param length tokens of the sequence */
  frequencies: (scaling: Scaling, width: number, theta: number, length: number) => Float64Array;
  /** The length up to which the angles do not depend on it, for rules where they do beyond. */
  fixedUpTo?: (scaling: Scaling) => number;
  /** Tokens that the rule lets the model read, if more than `max_position_embeddings`. */
  reach?: (scaling: Scaling) => number;
}

const rules: { [Type in RopeScaling['type']]: Rule<Extract<RopeScaling, { type: Type }>> } = {
  default: {
    read: () => ({ type: 'default' }),
    frequencies: (_, width, theta) => plainFrequencies(width, theta),
  },
  linear: {
    read: (settings) => ({ type: 'linear', factor: numberOf(settings, 'factor') }),
    frequencies: ({ factor }, width, theta) => plainFrequencies(width, theta).map((frequency) => frequency / factor),
  },
  proportional: {
    read: (settings) => ({
      type: 'proportional',
      factor: numberOf(settings, 'factor', 1),
      share: numberOf(settings, 'partial_rotary_factor', 1, 0),
    }),
    // Only the first pairs turn; their wavelengths are those of a whole head.
    frequencies: ({ factor, share }, width, theta) => {
      const turning = Math.floor((share * width) / 2);
      return plainFrequencies(width, theta).map((frequency, pair) => (pair < turning ? frequency / factor : 0));
    },
  },
  dynamic: {
    read: (settings) => ({
      type: 'dynamic',
      factor: numberOf(settings, 'factor'),
      trainedContext: settings.context,
    }),
    frequencies: ({ factor, trainedContext }, width, theta, length) => {
      const stretch = (factor * Math.max(length, trainedContext)) / trainedContext - (factor - 1);
      return plainFrequencies(width, theta * stretch ** (width / (width - 2)));
    },
    fixedUpTo: ({ trainedContext }) => trainedContext,
    reach: ({ factor, trainedContext }) => factor * trainedContext,
  },
  llama3: {
    read: (settings) => ({
      type: 'llama3',
      factor: numberOf(settings, 'factor'),
      lowFrequencyFactor: numberOf(settings, 'low_freq_factor'),
      highFrequencyFactor: numberOf(settings, 'high_freq_factor'),
      originalContext: originalContextOf(settings),
    }),
    frequencies: ({ factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext }, width, theta) =>
      plainFrequencies(width, theta).map((frequency) => {
        const turns = (originalContext * frequency) / (2 * Math.PI);
        if (turns < low) return frequency / factor;
        if (turns > high) return frequency;
        const smooth = (turns - low) / (high - low);
        return ((1 - smooth) * frequency) / factor + smooth * frequency;
      }),
  },
  yarn: {
    read: (settings) => {
      const { values } = settings;
      const originalContext = originalContextOf(settings);
      if (values.factor === undefined) throw missing(settings, 'factor');
      const factor = values.factor === null ? settings.context / originalContext : numberOf(settings, 'factor');
      const magnitude = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
      const [mscale, mscaleAllDim] = [optional(settings, 'mscale'), optional(settings, 'mscale_all_dim')];
      // 0 stands for an absent number here, as in transformers.
      const inferred = mscale && mscaleAllDim ? magnitude(mscale) / magnitude(mscaleAllDim) : magnitude(1);
      return {
        type: 'yarn',
        factor,
        originalContext,
        betaFast: optional(settings, 'beta_fast') || 32,
        betaSlow: optional(settings, 'beta_slow') || 1,
        truncate: values.truncate === undefined || switchedOn(settings, 'truncate'),
        attentionFactor: optional(settings, 'attention_factor') ?? inferred,
      };
    },
    frequencies: ({ factor, originalContext, betaFast, betaSlow, truncate }, width, theta) => {
      // The pair index at which a frequency turns `rotations` times over the original context.
      const pairOf = (rotations: number): number =>
        (width * Math.log(originalContext / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
      const [first, last] = [pairOf(betaFast), pairOf(betaSlow)];
      const low = Math.max(truncate ? Math.floor(first) : first, 0);
      const high = Math.min(truncate ? Math.ceil(last) : last, width - 1);
      const span = high === low ? 0.001 : high - low;
      return plainFrequencies(width, theta).map((frequency, pair) => {
        const ramp = Math.min(1, Math.max(0, (pair - low) / span));
        return (frequency / factor) * ramp + frequency * (1 - ramp);
      });
    },
    reach: ({ factor, originalContext }) => factor * originalContext,
  },
  longrope: {
    read: (settings) => {
      const originalContext = originalContextOf(settings);
      const factor = optional(settings, 'factor') ?? settings.context / originalContext;
      const inferred = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalContext));
      return {
        type: 'longrope',
        shortFactors: divisors(settings, 'short_factor'),
        longFactors: divisors(settings, 'long_factor'),
        originalContext,
        factor,
        attentionFactor: optional(settings, 'attention_factor') ?? inferred,
      };
    },
    frequencies: ({ shortFactors, longFactors, originalContext }, width, theta, length) => {
      const factors = length > originalContext ? longFactors : shortFactors;
      return plainFrequencies(width, theta).map((frequency, pair) => frequency / factors[pair]!);
    },
    fixedUpTo: ({ originalContext }) => originalContext,
    reach: ({ factor, originalContext }) => factor * originalContext,
  },
};

/** The rules by their names in config.json. */
export const ropeTypes = Object.keys(rules) as RopeScaling['type'][];

/** θ^(−2i/width). */
function plainFrequencies(width: number, theta: number): Float64Array {
  return Float64Array.from({ length: width / 2 }, (_, pair) => theta ** (-(2 * pair) / width));
}

function ruleOf<Scaling extends RopeScaling>({ type }: Scaling): Rule<Scaling> {
  return rules[type] as unknown as Rule<Scaling>;
}

/** Reads the settings of a rule. @throws SubzeroError `invalid_data` naming what is missing or wrong */
export function readRopeScaling(type: RopeScaling['type'], settings: RopeSettings): RopeScaling {
  return rules[type].read(settings);
}

/**
 * Angle per position of each pair: the inverse frequencies after scaling.
 *
 * @param width elements of a head, even
 * @param length tokens of the sequence; of effect beyond {@link fixedUpTo} only
 * @returns width/2 numbers, and the factor on cosines and sines
 */
export function ropeFrequencies(
  width: number,
  theta: number,
  scaling: RopeScaling,
  length = 0,
): { frequencies: Float64Array; attentionFactor: number } {
  return {
    frequencies: ruleOf(scaling).frequencies(scaling, width, theta, length),
    attentionFactor: 'attentionFactor' in scaling ? scaling.attentionFactor : 1,
  };
}

/**
 * The length from which on every length has angles of its own (dynamic) or others than shorter ones (longrope); else
 * infinite.
 */
export function fixedUpTo(scaling: RopeScaling): number {
  return ruleOf(scaling).fixedUpTo?.(scaling) ?? Number.POSITIVE_INFINITY;
}

/** Most tokens that a model with this rule can read. @param context `max_position_embeddings` */
export function contextWith(scaling: RopeScaling, context: number): number {
  return Math.max(context, Math.floor(ruleOf(scaling).reach?.(scaling) ?? 0));
}

/** A value for errors. */
function given(value: unknown): string {
  return value === undefined ? 'none' : brief(value);
}

function missing({ values }: RopeSettings, name: string): SubzeroError {
  const type = JSON.stringify(values.rope_type ?? values.type);
  return new SubzeroError(
    'invalid_data',
    `rope scaling ${type} needs a positive "${name}"; got ${given(values[name])}`,
  );
}

function numberOf(settings: RopeSettings, name: string, fallback?: number, least = Number.MIN_VALUE): number {
  const value = settings.values[name] === undefined ? fallback : settings.values[name];
  if (typeof value !== 'number' || !Number.isFinite(value) || value < least) throw missing(settings, name);
  return value;
}

/** A number of at least 0, or undefined for null and an absent one. */
function optional(settings: RopeSettings, name: string): number | undefined {
  return settings.values[name] === null || settings.values[name] === undefined
    ? undefined
    : numberOf(settings, name, undefined, 0);
}

function switchedOn({ values }: RopeSettings, name: string): boolean {
  const value = values[name] ?? false;
  if (typeof value === 'boolean') return value;
  throw new SubzeroError('invalid_data', `rope scaling: "${name}" must be true or false; got ${JSON.stringify(value)}`);
}

function originalContextOf(settings: RopeSettings): number {
  const name = 'original_max_position_embeddings';
  return settings.outerOriginalContext ?? numberOf(settings, name, settings.context);
}

function divisors({ values, width }: RopeSettings, name: string): number[] {
  const list = values[name];
  const right =
    Array.isArray(list) &&
    list.length === width / 2 &&
    list.every((entry) => typeof entry === 'number' && Number.isFinite(entry) && entry > 0);
  if (right) return list as number[];
  throw new SubzeroError(
    'invalid_data',
    `rope scaling "longrope" needs "${name}" as a list of ${width / 2} positive numbers; got ` +
      (Array.isArray(list) && list.length !== width / 2 ? `a list of ${list.length} entries` : given(list)),
  );
}
