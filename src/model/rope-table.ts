/**
 * The angles of rotary position embedding, in f64 on the CPU: every scaling rule is only another table for the same kernel.
 *
 * Rules as in Hugging Face transformers' `modeling_rope_utils` and the papers it cites (YaRN: arXiv 2309.00071).
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';

export type RopeScaling =
  | { type: 'default' }
  | { type: 'linear'; factor: number }
  | { type: 'dynamic'; factor: number }
  | { type: 'llama3'; factor: number; lowFrequencyFactor: number; highFrequencyFactor: number; originalContext: number }
  | {
      type: 'yarn';
      factor: number;
      originalContext: number;
      betaFast: number;
      betaSlow: number;
      attentionFactor: number;
    };

/**
 * Reads `rope_scaling` (or transformers 5's `rope_parameters`) of a config.json.
 * @param contextLength what YaRN stretches where the scaling does not name the original context, as in transformers
 */
export function parseRopeScaling(value: unknown, contextLength?: number): RopeScaling {
  if (value === null || value === undefined) return { type: 'default' };
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new SubzeroError('invalid_data', `rope scaling must be an object; got ${JSON.stringify(value)}`);
  }
  const scaling = value as Record<string, unknown>;
  const type = scaling.rope_type ?? scaling.type ?? 'default';
  const number = (name: string, fallback?: number): number => {
    const found = scaling[name] ?? fallback;
    if (typeof found !== 'number' || !(found > 0)) {
      throw new SubzeroError(
        'invalid_data',
        `rope scaling "${String(type)}" needs a positive "${name}"; got ${JSON.stringify(found)}`,
      );
    }
    return found;
  };
  switch (type) {
    case 'default':
      return { type: 'default' };
    case 'linear':
      return { type: 'linear', factor: number('factor') };
    case 'dynamic':
      return { type: 'dynamic', factor: number('factor') };
    case 'llama3':
      return {
        type: 'llama3',
        factor: number('factor'),
        lowFrequencyFactor: number('low_freq_factor'),
        highFrequencyFactor: number('high_freq_factor'),
        originalContext: number('original_max_position_embeddings'),
      };
    case 'yarn': {
      const factor = number('factor');
      return {
        type: 'yarn',
        factor,
        originalContext: number('original_max_position_embeddings', contextLength),
        betaFast: number('beta_fast', 32),
        betaSlow: number('beta_slow', 1),
        attentionFactor: number('attention_factor', factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1),
      };
    }
    default:
      throw new SubzeroError(
        'unsupported',
        `rope scaling "${String(type)}" is not supported; supported are default, linear, dynamic, llama3, yarn`,
      );
  }
}

/**
 * Angle per position of each pair: the inverse frequencies after scaling.
 *
 * @param width elements of a head that rotate, even
 * @returns width/2 numbers, and the factor on cosines and sines
 */
export function ropeFrequencies(
  width: number,
  theta: number,
  scaling: RopeScaling,
): { frequencies: Float64Array; attentionFactor: number } {
  const frequencies = Float64Array.from({ length: width / 2 }, (_, pair) => theta ** (-(2 * pair) / width));
  if (scaling.type === 'linear') return { frequencies: frequencies.map((f) => f / scaling.factor), attentionFactor: 1 };
  if (scaling.type === 'llama3') {
    const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling;
    return {
      attentionFactor: 1,
      frequencies: frequencies.map((frequency) => {
        const turns = (originalContext * frequency) / (2 * Math.PI);
        if (turns < low) return frequency / factor;
        if (turns > high) return frequency;
        const smooth = (turns - low) / (high - low);
        return ((1 - smooth) * frequency) / factor + smooth * frequency;
      }),
    };
  }
  if (scaling.type === 'yarn') {
    const { factor, originalContext, betaFast, betaSlow, attentionFactor } = scaling;
    // The pair index at which a frequency turns `rotations` times over the original context.
    const pairOf = (rotations: number): number =>
      (width * Math.log(originalContext / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
    const low = Math.max(Math.floor(pairOf(betaFast)), 0);
    const high = Math.min(Math.ceil(pairOf(betaSlow)), width - 1);
    return {
      attentionFactor,
      frequencies: frequencies.map((frequency, pair) => {
        const ramp = Math.min(1, Math.max(0, (pair - low) / Math.max(high - low, 0.001)));
        return (frequency / factor) * ramp + frequency * (1 - ramp);
      }),
    };
  }
  // Dynamic scaling only changes sequences longer than the trained context, which are refused (see contextLength).
  return { frequencies, attentionFactor: 1 };
}

/** The table that kernels/rope.wgsl reads: per position the cosines of all pairs, then their sines. */
export function ropeTable(positions: number, width: number, theta: number, scaling: RopeScaling): Float32Array {
  const { frequencies, attentionFactor } = ropeFrequencies(width, theta, scaling);
  const table = new Float32Array(positions * width);
  for (let position = 0; position < positions; position++) {
    for (let pair = 0; pair < width / 2; pair++) {
      const angle = position * frequencies[pair]!;
      table[position * width + pair] = Math.cos(angle) * attentionFactor;
      table[position * width + width / 2 + pair] = Math.sin(angle) * attentionFactor;
    }
  }
  return table;
}
