import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OptionSpecification } from '../../src/cli/option.ts';
import { parseOptions } from '../../src/cli/parse.ts';
import { UsageError } from '../../src/cli/usage-error.ts';

const options: OptionSpecification[] = [
  { name: 'steps', type: 'integer', minimum: 1, maximum: 1000, default: 10, description: '' },
  { name: 'learning-rate', type: 'number', minimum: 0, description: '' },
  { name: 'schedule', type: 'text', choices: ['constant', 'linear'], default: 'constant', description: '' },
  { name: 'sides', type: 'integer', choices: [1, 2], default: 2, description: '' },
  { name: 'out', type: 'text', placeholder: 'DIR', description: '' },
  { name: 'prompt', type: 'text', allowEmpty: true, description: '' },
  { name: 'norm-alignment', type: 'flag', default: true, description: '' },
  { name: 'quiet', type: 'flag', description: '' },
  { name: 'stop', type: 'list', description: '' },
  { name: 'offset', type: 'number', description: '' },
  { name: 'memory', type: 'bytes', default: 0, minimum: 0, description: '' },
  { name: 'to', type: 'integer', minimum: 0, words: ['best'], description: '' },
  { name: 'config', type: 'text', description: '' },
];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'subzero options '));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: unknown): string {
  const path = join(folder, `${Math.random().toString(36).slice(2)}.json`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}
const parse = (words: string[], environment: Record<string, string> = {}) => parseOptions(options, words, environment);
const values = (words: string[], environment?: Record<string, string>) => parse(words, environment).values;

describe('flags', () => {
  it('take values after a space and after an equals sign', () => {
    expect(values(['--steps', '20', '--learning-rate=1e-6'])).toMatchObject({ steps: 20, learningRate: 1e-6 });
    expect(values(['--out=a=b'])).toMatchObject({ out: 'a=b' });
  });
  it('switch on, off and take an explicit value', () => {
    expect(values([])).toMatchObject({ normAlignment: true, quiet: false });
    expect(values(['--no-norm-alignment', '--quiet'])).toMatchObject({ normAlignment: false, quiet: true });
    expect(values(['--norm-alignment=false'])).toMatchObject({ normAlignment: false });
    expect(() => parse(['--no-quiet=true'])).toThrow('--no-quiet takes no value');
  });
  it('that a command refuses say why', () => {
    const refused = { rank: 'cannot change here' };
    expect(() => parseOptions(options, ['--rank=4'], {}, { refused })).toThrow('--rank cannot change here');
    expect(() => parseOptions(options, ['--constructor'], {}, { refused })).toThrow('unknown option --constructor');
  });
  it('take bytes with a unit, and words that stand for numbers', () => {
    for (const [text, bytes] of [
      ['6GiB', 6 * 2 ** 30],
      ['1.5 MB', 1_500_000],
      ['64kib', 65_536],
      ['100b', 100],
      ['4096', 4096],
    ] as const) {
      expect(values(['--memory', text])).toMatchObject({ memory: bytes });
      expect(values(['--config', file({ memory: text })])).toMatchObject({ memory: bytes });
    }
    expect(values(['--config', file({ memory: 4096 })])).toMatchObject({ memory: 4096 });
    for (const text of ['much', '6GiBs', '6iB', '', '-1', '1e9']) {
      expect(() => parse([`--memory=${text}`])).toThrow('--memory must be a number of bytes such as 500MB or 6GiB');
    }
    for (const value of [null, true, [1]])
      expect(() => parse(['--config', file({ memory: value })])).toThrow(UsageError);
    expect(values(['--to', 'best'])).toMatchObject({ to: 'best' });
    expect(values(['--to', '3'])).toMatchObject({ to: 3 });
    expect(() => parse(['--to', 'worst'])).toThrow('--to must be a whole number or best; got "worst"');
  });
  it('add up for lists and count the last time otherwise', () => {
    expect(values(['--stop', 'a', '--stop=b'])).toMatchObject({ stop: ['a', 'b'] });
    expect(values(['--steps', '1', '--steps', '2'])).toMatchObject({ steps: 2 });
    expect(values([])).toMatchObject({ stop: [] });
  });
  it('accept negative numbers, a lone dash and empty prompts as values', () => {
    expect(values(['--offset', '-1.5', '--prompt', '-'])).toMatchObject({ offset: -1.5, prompt: '-' });
    expect(values(['--prompt', ''])).toMatchObject({ prompt: '' });
  });
  it('do not swallow the next option', () => {
    expect(() => parse(['--out', '--quiet'])).toThrow('--out needs a value: --out DIR');
    expect(() => parse(['--out'])).toThrow(UsageError);
    expect(values(['--prompt=--quiet'])).toMatchObject({ prompt: '--quiet', quiet: false });
  });
  it.each([
    [['--stpes', '3'], 'unknown option --stpes; did you mean --steps?'],
    [['--lr=3'], 'unknown option --lr; did you mean --learning-rate?'],
    [['-steps', '3'], 'unknown option -steps; did you mean --steps?'],
    [['--no-steps'], 'unknown option --no-steps; did you mean --steps?'],
    [['3'], 'unexpected argument "3"'],
    [['--'], 'unexpected argument "--"'],
    [['--norm-alignment', 'false'], '--norm-alignment takes no value; write --norm-alignment=false'],
    [['--prompt', '--', 'true'], 'unexpected argument "true"'],
    [['--steps', 'many'], '--steps must be a whole number; got "many"'],
    [['--steps', ''], '--steps must be a whole number; got ""'],
    [['--steps', '1.5'], '--steps must be a whole number; got "1.5"'],
    [['--steps', '0'], '--steps must be at least 1; got "0"'],
    [['--steps', '1001'], '--steps must be at most 1000; got "1001"'],
    [['--learning-rate', 'Infinity'], '--learning-rate must be a number'],
    [['--learning-rate', 'NaN'], '--learning-rate must be a number'],
    [['--schedule', 'step'], '--schedule must be one of constant, linear; got "step"'],
    [['--sides', '3'], '--sides must be one of 1, 2; got "3"'],
    [['--out', ''], '--out must be a value (DIR); got ""'],
    [['--quiet=maybe'], '--quiet must be true or false; got "maybe"'],
  ])('%j is refused', (words, message) => {
    expect(() => parse(words)).toThrow(UsageError);
    expect(() => parse(words)).toThrow(message);
  });
});

describe('precedence', () => {
  it('is flag, environment, configuration file, default', () => {
    const config = file({ steps: 3, 'learning-rate': 0.3, schedule: 'linear' });
    const environment = { SUBZERO_STEPS: '2', SUBZERO_LEARNING_RATE: '0.2' };
    const parsed = parse(['--steps', '1', '--config', config], environment);
    expect(parsed.values).toMatchObject({ steps: 1, learningRate: 0.2, schedule: 'linear', sides: 2 });
    expect(parsed.sources).toMatchObject({
      steps: 'flag',
      learningRate: 'environment',
      schedule: 'configuration file',
      sides: 'default',
    });
    expect(parsed.sources.out).toBeUndefined();
    expect('out' in parsed.values).toBe(false);
  });
  it('lets the environment name the configuration file', () => {
    expect(values([], { SUBZERO_CONFIG: file({ steps: 7 }) })).toMatchObject({ steps: 7 });
  });
});

describe('the environment', () => {
  it('gives flags and lists, and an empty variable counts as unset', () => {
    expect(values([], { SUBZERO_QUIET: '1', SUBZERO_NORM_ALIGNMENT: 'no', SUBZERO_STOP: 'a, b' })).toMatchObject({
      quiet: true,
      normAlignment: false,
      stop: ['a', 'b'],
    });
    expect(values([], { SUBZERO_STEPS: '' })).toMatchObject({ steps: 10 });
  });
  it('is checked like a flag and named in the message', () => {
    expect(() => parse([], { SUBZERO_STEPS: 'x' })).toThrow('SUBZERO_STEPS must be a whole number; got "x"');
  });
});

describe('configuration files', () => {
  it('take kebab and camel case', () => {
    expect(values(['--config', file({ learningRate: 0.5, 'norm-alignment': false, stop: ['x'] })])).toMatchObject({
      learningRate: 0.5,
      normAlignment: false,
      stop: ['x'],
    });
    expect(values(['--config', file({ stop: 'x' })])).toMatchObject({ stop: ['x'] });
  });
  it.each([
    [{ stesp: 3 }, /unknown key "stesp" in .*; did you mean steps\?/],
    [{ config: 'x' }, /unknown key "config"/],
    [{ steps: '3' }, /"steps" in .* must be a whole number; got "3"/],
    [{ steps: 0 }, /must be at least 1/],
    [{ quiet: 'yes' }, /must be true or false/],
    [{ out: 3 }, /must be a text in quotes/],
    [{ stop: [3] }, /must be a text or a list of texts/],
    [{ schedule: null }, /must be a text in quotes; got null/],
    [{ learningRate: 1, 'learning-rate': 1 }, /has both "learning-rate" and "learningRate"/],
    ['[1]', /must hold one JSON object/],
    ['{"steps":', /is not valid JSON/],
  ])('%j is refused', (content, message) => {
    const path = file(content);
    expect(() => parse(['--config', path])).toThrow(UsageError);
    expect(() => parse(['--config', path])).toThrow(message);
  });
  it('must exist', () => {
    expect(() => parse(['--config', join(folder, 'none.json')])).toThrow(/none\.json cannot be read/);
  });
});
