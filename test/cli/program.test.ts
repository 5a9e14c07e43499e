import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { defineCommand } from '../../src/cli/command.ts';
import { runProgram } from '../../src/cli/program.ts';
import type { Engine } from '../../src/engine/types.ts';
import { SubzeroError } from '../../src/errors.ts';
import { parameter, type Words, words } from '../../src/words.ts';
import { fakeHost } from './fake-host.ts';

async function run(words: string[], environment: Record<string, string> = {}) {
  const host = fakeHost({ environment });
  const code = await runProgram(words, host);
  return { code, out: host.out.text, error: host.error.text };
}

function failing(error: unknown) {
  return defineCommand({
    name: 'fail',
    summary: 'Fails',
    usage: ['fail'],
    options: [],
    examples: [],
    async run() {
      throw error;
    },
  });
}

describe('runProgram', () => {
  it('calls settings in messages as they are called on the command line', async () => {
    const fail = async (message: Words, parameter: string) => {
      const engine: Partial<Engine> = {
        // biome-ignore lint/correctness/useYield: the stream fails before its first event.
        async *train() {
          throw new SubzeroError('invalid_argument', message, { parameter });
        },
        close: async () => {},
      };
      const host = fakeHost({ engine });
      expect(await runProgram(['train', '--model', 'm', '--data', 'x.jsonl', '--out', 'r'], host)).toBe(1);
      return host.error.text;
    };
    const [every, stopping] = [parameter('evaluateEvery'), parameter('earlyStopping')];
    const dependent = words`${every} must be 1 with ${stopping}; see a/earlyStopping`;
    expect(await fail(dependent, 'evaluateEvery')).toBe(
      'subzero: --evaluate-every must be 1 with --early-stopping; see a/earlyStopping\n',
    );
    const more = words`${parameter('memory')}: more memory is needed`;
    expect(await fail(more, 'memory')).toBe('subzero: --memory: more memory is needed\n');

    const config = join(mkdtempSync(join(tmpdir(), 'subzero-config-')), 'train.json');
    writeFileSync(config, JSON.stringify({ batchSize: 2, 'batch-size': 3 }));
    expect((await run(['train', '--config', config])).error).toContain('both "batch-size" and "batchSize"');
  });
  it('prints version and help on standard output', async () => {
    expect(await run(['--version'])).toEqual({ code: 0, out: `${packageJson.version}\n`, error: '' });
    for (const words of [['--help'], ['-h'], ['help']]) {
      const { code, out, error } = await run(words);
      expect({ code, error }).toEqual({ code: 0, error: '' });
      expect(out).toContain('Usage: subzero COMMAND');
    }
    for (const words of [
      ['train', '--help'],
      ['train', '--bogus', '-h'],
      ['help', 'train'],
    ]) {
      const { code, out } = await run(words);
      expect(code).toBe(0);
      expect(out).toContain('--learning-rate');
    }
  });

  it('says how it is used when nothing is asked', async () => {
    const { code, out, error } = await run([]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(error).toContain('Usage: subzero COMMAND');
  });

  it.each([
    [['trian'], 'unknown command "trian"; did you mean train?'],
    [['help', 'trian'], 'did you mean train?'],
    [['--steps', '3'], '--steps stands before the command'],
    [['train', '--stpes', '3'], 'unknown option --stpes; did you mean --steps?'],
    [['train', '--rank', '9999'], '--rank must be between 1 and 256; got 9999'],
    [['train', '--batch-size', '2.5'], '--batch-size must be a whole number'],
    [['train'], 'train needs --model DIR'],
    [['train', '--model', 'm'], 'there is no data'],
    [['train', '--model', 'm', '--task', 'sst2'], '--task sst2 needs --data DIR'],
    [['train', '--model', 'm', '--task', 'sst2', '--task-file', 'f'], '--task and --task-file both name a task'],
    [
      ['train', '--model', 'm', '--data', 'x', '--validation', '5%', '--validation-split', '0.1'],
      '--validation and --validation-split both say what to evaluate on',
    ],
    [['train', '--model', 'm', '--data', 'x.jsonl'], 'train needs --out RUN'],
    [['train', '--resume', 'r', '--rank', '4'], '--rank cannot change it'],
    [['train', '--resume', 'r', '--out', 'o'], '--out cannot change it'],
    [['eval', '--model', 'm'], 'there is no data'],
    [['generate', '--model', 'm'], 'generate needs --prompt TEXT'],
    [['generate', '--model', 'm', '--prompt', 'x', '--temperature', '-1'], '--temperature must be at least 0'],
    [['serve'], 'serve needs at least one --model'],
    [['serve', '--model', 'a/m', '--model', 'b/m'], 'two models would be called "m"'],
    [['serve', '--model', 'm', '--port', '70000'], '--port must be at most 65535'],
    [['export', '--run', 'r'], 'export needs --out DIR'],
    [['export', '--run', 'r', '--out', 'o', '--format', 'onnx'], '--format must be one of safetensors, peft'],
    [['replay'], 'replay needs --run RUN'],
  ])('%j: one line and a hint on standard error, exit code 2', async (words, message) => {
    const { code, out, error } = await run(words);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    const [first, hint, ...rest] = error.split('\n');
    expect(first).toMatch(/^subzero: /);
    expect(first).toContain(message);
    expect(rest.length).toBeLessThanOrEqual(1);
    expect(hint === '' || hint?.startsWith('  ')).toBe(true);
    expect(error).not.toContain('    at ');
  });

  it('ends with 1 on a failure, without a stack trace', async () => {
    const host = fakeHost();
    const command = failing(new SubzeroError('not_found', 'no model at x'));
    expect(await runProgram(['fail'], host, [command])).toBe(1);
    expect(host.error.text).toBe('subzero: no model at x\n');
  });

  it('calls a defect a defect', async () => {
    const host = fakeHost();
    expect(await runProgram(['fail'], host, [failing(new TypeError('x is undefined'))])).toBe(1);
    expect(host.error.text).toMatch(/^subzero: internal error: x is undefined\n {2}this is a defect/);
    expect(host.error.text).not.toContain('    at ');
  });

  it('shows the stack with SUBZERO_DEBUG=1', async () => {
    const host = fakeHost({ environment: { SUBZERO_DEBUG: '1' } });
    await runProgram(['fail'], host, [failing(new SubzeroError('io', 'disk full'))]);
    expect(host.error.text).toContain('    at ');
  });

  it('ends with 130 when the work was cancelled', async () => {
    const command = failing(new SubzeroError('cancelled', 'stopped'));
    expect(await runProgram(['fail'], fakeHost(), [command])).toBe(130);
  });
});
