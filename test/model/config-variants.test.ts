/**
 * Configurations of every kind against what transformers made of the same files (test/reference/config_variants.py).
 */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import type { Decoder } from '../../src/model/decoder.ts';
import { parameterShapes } from '../../src/model/parameters.ts';
import { ropeFrequencies } from '../../src/model/rope-rules.ts';
import { readConfiguration } from '../support/configuration.ts';
import { summaryOf } from '../support/decoder.ts';

interface Variant {
  name: string;
  config: Record<string, unknown>;
  /** What transformers raised. */
  error?: string;
  biases_and_norms: string[];
  tied: boolean;
  head_width: number;
  activation: string;
  key_heads?: number;
  epsilon?: number;
  windows?: (number | null)[];
  theta?: number;
  frequencies?: number[];
  attention_factor?: number;
  frequencies_by_length?: Record<string, number[]>;
  final_norm?: boolean;
  projections?: boolean;
}

const { variants } = JSON.parse(
  readFileSync(new URL('../fixtures/golden/config-variants.json', import.meta.url), 'utf8'),
) as { variants: Variant[] };

/** Refused though transformers takes them, with what the refusal must say. */
const refusedHere: Readonly<Record<string, RegExp>> = {
  // The class rotates whole heads by this rule and others do not: what the checkpoint means cannot be told.
  'partial rotation, default': /"partial_rotary_factor" must be 1 .* got 0\.5/,
  // The window counts for the cache of generation in transformers, and not for the layers.
  'llama: window': /"sliding_window" must be null/,
  // transformers takes the names of layer types for unknown keys of one setting, and rotates without scaling.
  'per layer type, llama': /settings for the layer type "full_attention"/,
};
/** The classes of activations, as far as there is a kernel. */
const activationOfClass: Readonly<Record<string, string>> = {
  ReLU: 'relu',
  ReLUSquaredActivation: 'relu-squared',
  GELUActivation: 'gelu',
  NewGELUActivation: 'gelu-tanh',
  FastGELUActivation: 'gelu-tanh',
  AccurateGELUActivation: 'gelu-tanh',
  GELUTanh: 'gelu-tanh',
  QuickGELUActivation: 'gelu-sigmoid',
  SiLU: 'silu',
  SiLUActivation: 'silu',
  LinearActivation: 'none',
};
/** Taken though transformers refuses: the meaning is plain. */
const takenHere = ['llama: odd split with head_dim', 'mistral: layer types null'];

/** Names of biases and norms of the first layer and outside of layers, as the script writes them. */
function biasesAndNorms(decoder: Decoder): string[] {
  const names = new Set<string>();
  for (const { name, shape } of parameterShapes(decoder)) {
    if (shape.length > 1) continue;
    names.add(name.replace(/^model\.(decoder\.)?layers\.\d+\./, ''));
  }
  return [...names].sort();
}

function expectClose(actual: Float64Array, expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  for (const [pair, value] of expected.entries()) {
    // The reference is f32, and so are its powers and logarithms.
    expect(Math.abs(actual[pair]! - value), `pair ${pair}: ${actual[pair]} for ${value}`).toBeLessThanOrEqual(
      2e-6 * Math.abs(value),
    );
  }
}

describe('as transformers reads them', () => {
  test.each(variants)('$name', (variant) => {
    const { name, config } = variant;
    const activation = activationOfClass[variant.activation];
    const read = () => readConfiguration(config, 'config.json');
    if (variant.error ? !takenHere.includes(name) : name in refusedHere) {
      expect(read).toThrow(SubzeroError);
      if (!variant.error) expect(read).toThrow(refusedHere[name]!);
      return;
    }
    if (!variant.error && activation === undefined) {
      const { hidden_act: wanted } = config;
      expect(read).toThrow(`the activation "${wanted}" is not supported; expected relu, relu2, gelu`);
      return;
    }
    const decoder = read();
    if (variant.error) return;
    const c = summaryOf(decoder);
    expect(c.activation).toBe(activation);
    expect(biasesAndNorms(decoder)).toEqual(
      [...new Set(variant.biases_and_norms.map((each) => each.replace(/^\d+\./, '')))].sort(),
    );
    expect(c.tied).toBe(variant.tied);
    expect(c.headWidth).toBe(variant.head_width);
    if (!c.rotation) {
      expect(c.finalNorm !== undefined).toBe(variant.final_norm);
      expect(c.projectIn !== undefined).toBe(variant.projections);
      return;
    }
    expect(c.keyHeadCount).toBe(variant.key_heads);
    expect(c.normEpsilon).toBe(variant.epsilon);
    expect(c.windows).toEqual(variant.windows!.map((width) => width ?? undefined));
    const { theta, rotaryWidth, scaling } = c.rotation;
    expect(theta).toBe(variant.theta);
    const { frequencies, attentionFactor } = ropeFrequencies(rotaryWidth, theta, scaling);
    expectClose(frequencies, variant.frequencies!);
    expect(Math.abs(attentionFactor - variant.attention_factor!)).toBeLessThan(1e-12);
    for (const [length, expected] of Object.entries(variant.frequencies_by_length ?? {})) {
      expectClose(ropeFrequencies(rotaryWidth, theta, scaling, Number(length)).frequencies, expected);
    }
  });

  test('no exception is left over', () => {
    const names = variants.map(({ name }) => name);
    for (const name of [...Object.keys(refusedHere), ...takenHere]) expect(names).toContain(name);
    expect(variants.length).toBeGreaterThan(90);
  });
});
