import { describe, expect, test } from 'vitest';
import { wireName } from '../../server/setting-names.ts';
import { camelCase, kebabCase } from '../../src/cli/option.ts';
import { fromErrorRecord, SubzeroError, toErrorRecord } from '../../src/errors.ts';
import { defaultsOf, resolveConfiguration, type TrainConfiguration } from '../../src/settings/configuration.ts';
import { optimizerNames } from '../../src/settings/methods.ts';
import { schemeNames } from '../../src/settings/schemes.ts';
import { type SettingName, settingNames, settingOf } from '../../src/settings/settings.ts';
import { parameter, wording, words } from '../../src/words.ts';

describe('the tables', () => {
  test('the defaults of every optimiser and scheme are allowed', () => {
    for (const optimizer of optimizerNames) {
      for (const scheme of schemeNames) {
        expect(resolveConfiguration({ optimizer, scheme })).toEqual(defaultsOf(optimizer, scheme));
      }
    }
  });

  test('names stay apart and can be read back', () => {
    expect(settingNames.map((name) => camelCase(kebabCase(name)))).toEqual(settingNames);
    expect(new Set(settingNames.map(wireName)).size).toBe(settingNames.length);
  });

  test('numbers are allowed up to their bounds and not beyond', () => {
    for (const name of settingNames) {
      const setting = settingOf(name);
      if (setting.type !== 'integer' && setting.type !== 'number') continue;
      // A forward step of a double at a bound may be none.
      const beyond = [setting.minimum - 1, setting.maximum * 2, Number.NaN, '1'];
      for (const value of beyond) expect(problemWith(name, value), `${name} ${value}`).toMatch(/^\w+ must be between/);
      for (const value of [setting.minimum, setting.maximum]) {
        expect(problemWith(name, value) ?? '', `${name} ${value}`).not.toMatch(new RegExp(`^${name} `));
      }
    }
  });

  test('values of another kind are refused by what there is', () => {
    expect(problemWith('schedule', 'step')).toBe('schedule must be one of "constant", "linear", "cosine"; got "step"');
    expect(problemWith('sides', 3)).toBe('sides must be one of 1, 2; got 3');
    expect(problemWith('tensorboard', 'yes')).toBe('tensorboard must be true or false; got "yes"');
    expect(problemWith('loraTargets', ['a', ''])).toBe(
      'loraTargets must be a list of at most 64 texts of 1 to 256 characters; got ["a",""]',
    );
  });
});

describe('texts that name parameters', () => {
  const inner = words`at least ${1} with ${parameter('earlyStopping')}`;
  const text = words`${parameter('evaluateEvery')} must be ${inner}; got 0`;

  test('call them as the reader does', () => {
    expect(wording(text)).toBe('evaluateEvery must be at least 1 with earlyStopping; got 0');
    expect(wording(text, (name) => `--${kebabCase(name)}`)).toBe(
      '--evaluate-every must be at least 1 with --early-stopping; got 0',
    );
  });

  test('keep their marks in an error that goes from thread to thread', () => {
    const error = new SubzeroError('invalid_argument', text, { parameter: 'evaluateEvery' });
    const arrived = fromErrorRecord(structuredClone(toErrorRecord(error))) as SubzeroError;
    expect(arrived.message).toBe(error.message);
    expect(wording(arrived.words, wireName)).toBe('evaluate_every must be at least 1 with early_stopping; got 0');
  });
});

function problemWith(name: SettingName, value: unknown): string | undefined {
  try {
    resolveConfiguration({ [name]: value } as Partial<TrainConfiguration>);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
