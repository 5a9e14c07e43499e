/**
 * Where rotary settings are read from, and what is said where they cannot be used; values as in
 * test/model/config-variants.test.ts.
 */

import { describe, expect, test } from 'vitest';
import { readFields } from '../../src/model/config-fields.ts';
import { readRope, ropeFields } from '../../src/model/rope-parameters.ts';

const read = (config: Record<string, unknown>) => readRope(readFields(config, ropeFields), 8, 64);
const scaling = (values: Record<string, unknown>) => read({ rope_parameters: values }).scaling;

describe('readRope', () => {
  test('nothing, null and an empty object are the default', () => {
    for (const config of [
      {},
      { rope_scaling: null },
      { rope_parameters: {} },
      { rope_scaling: {}, rope_theta: 10_000 },
    ]) {
      expect(read(config)).toEqual({ theta: 10_000, rotaryWidth: 8, scaling: { type: 'default' } });
    }
  });

  test('old and new spelling of the type', () => {
    expect(scaling({ type: 'linear', factor: 2 })).toEqual({ type: 'linear', factor: 2 });
    expect(scaling({ rope_type: 'dynamic', type: 'linear', factor: 3 })).toEqual({
      ...{ type: 'dynamic', factor: 3, trainedContext: 64 },
    });
  });

  test('llama3 as Llama 3.1 has it', () => {
    const values = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
    expect(scaling({ ...values, original_max_position_embeddings: 8192 })).toEqual({
      ...{ type: 'llama3', factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 8192 },
    });
  });

  test.each([
    [{ type: 'linear' }, 'factor'],
    [{ type: 'dynamic', factor: 0 }, 'factor'],
    [{ type: 'linear', factor: 'two' }, 'factor'],
    [{ type: 'llama3', factor: 8, high_freq_factor: 4, original_max_position_embeddings: 1 }, 'low_freq_factor'],
    [{ type: 'yarn', factor: 8, original_max_position_embeddings: 64, beta_fast: -1 }, 'beta_fast'],
    [{ type: 'yarn', factor: 8, original_max_position_embeddings: 0 }, 'original_max_position_embeddings'],
    [{ type: 'yarn', original_max_position_embeddings: 64 }, 'factor'],
    [{ type: 'yarn', factor: 2, attention_factor: -1 }, 'attention_factor'],
    [
      { type: 'longrope', factor: 2, short_factor: [1, 1, 1, 1], long_factor: [1, 1, 1, 1], attention_factor: 'x' },
      'attention_factor',
    ],
  ])('%j lacks a positive %s', (values, field) => {
    expect(() => scaling(values)).toThrow(
      expect.objectContaining({
        code: 'invalid_data',
        message: expect.stringContaining(`needs a positive "${field}"`),
      }),
    );
  });

  test.each([
    [
      { type: 'longrope', short_factor: [1, 1], long_factor: [1, 1, 1, 1] },
      /"short_factor" as a list of 4 positive numbers; got a list of 2/,
    ],
    [{ type: 'longrope', short_factor: [1, 1, 1, 1] }, /"long_factor" as a list of 4 positive numbers; got none/],
    [{ type: 'linear' }, /"linear" needs a positive "factor"; got none$/],
    [{ type: 'longrope', short_factor: [1, 1, 1, 0], long_factor: [1, 1, 1, 1] }, /"short_factor"/],
    [{ type: 'yarn', factor: 2, truncate: 'no' }, /"truncate" must be true or false; got "no"/],
    [
      { rope_type: 'su' },
      /"su" is not supported; supported are default, linear, proportional, dynamic, llama3, yarn, longrope/,
    ],
    [{ rope_type: null, type: 'linear', factor: 2 }, /rope scaling null is not supported/],
    [{ rope_type: 'toString' }, /"toString" is not supported/],
    [
      { rope_type: 'default', mrope_section: [1, 1, 2] },
      /has the key "mrope_section" \(\[1,1,2\]\), which is not known here/,
    ],
    [{ sliding_attention: { rope_type: 'default' } }, /has settings for the layer type "sliding_attention"/],
    [{ rope_type: 'linear', factor: 2, partial_rotary_factor: 0.5 }, /"partial_rotary_factor" must be 1/],
    [{ rope_type: 'linear', factor: 2, rope_theta: -1 }, /"rope_theta" must be a positive number; got -1/],
  ])('%j is refused', (values, message) => {
    expect(() => scaling(values)).toThrow(message);
  });

  test('the refusal names the key that counts', () => {
    const config = { rope_scaling: { type: 'linear', factor: 2, odd: 1 }, rope_parameters: { rope_type: 'default' } };
    expect(() => read(config)).toThrow(/^"rope_scaling" has the key "odd" \(1\)/);
  });
});
