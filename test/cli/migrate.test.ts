/** From an endpoint's answers to a tuned model and a report, with a real engine; the endpoint is a server of ours. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { serve } from '../../server/serve.ts';
import { runProgram } from '../../src/cli/program.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import { completionRows, optionRows, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';
import { fakeHost } from './fake-host.ts';

afterAll(removeTemporary);

const training = ['--steps', '4', '--batch-size', '2', '--rank', '2', '--refresh', '4', '--learning-rate', '1e-3'];

test('a teacher behind the API is recorded, learnt from and compared with', async () => {
  const folder = temporaryFolder();
  const out = join(folder, 'moved');
  const model = tinyModel();
  const teacher = await LocalEngine.open();
  const server = await serve({
    ...{ engine: teacher, models: [{ id: 'teacher', path: model }], port: 0, dataDirectory: join(folder, 'data') },
    writeLog: () => {},
  });
  try {
    const prompts = writeRows(completionRows(10).replaceAll('"prompt"', '"question"'), folder, 'prompts.jsonl');
    const asked = [
      '--prompts',
      prompts,
      '--columns',
      'prompt=question',
      '--teacher',
      'teacher',
      '--answer-tokens',
      '5',
    ];
    const words = [
      'migrate',
      '--model',
      model,
      ...asked,
      '--endpoint',
      'completions',
      '--temperature',
      '0',
      '--out',
      out,
    ];
    const environment = { OPENAI_BASE_URL: `${server.url}/v1` };
    const migrate = async () => {
      const host = fakeHost({ engine: await LocalEngine.open(), environment });
      return { code: await runProgram([...words, ...training, '--hold-out', '0.3'], host), host };
    };
    const { code, host } = await migrate();
    expect(host.error.text).toContain('warning: 10 of 10 answers end where they became too long');
    expect({ code, lines: host.out.text.split('\n').length }).toEqual({ code: 0, lines: 8 });
    expect(host.out.text).toMatch(/^exact match: \d\.\d{4} → \d\.\d{4}, difference .*, p = .* \(exact McNemar, /);
    for (const [name, count] of [
      ['recording/golden', 10],
      ['train', 7],
      ['test', 3],
    ] as const) {
      expect(
        readFileSync(join(out, `${name}.jsonl`), 'utf8')
          .trim()
          .split('\n'),
      ).toHaveLength(count);
    }
    const report = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'));
    expect(report.comparison.map(({ metric }: { metric: string }) => metric)).toEqual([
      'exact-match',
      'f1',
      'rouge-l',
      'bleu',
      'loss',
    ]);
    // The teacher is the base model itself: before training its answers are those that were recorded.
    expect(report.comparison[0].before.value).toBe(1);
    expect(report.outcomes).toHaveLength(3);
    expect(readFileSync(join(out, 'report.md'), 'utf8')).toContain('before and after training on 7 rows');

    // The same command again goes on where it was, which is at the end; the server may be gone.
    await server.close();
    const again = await migrate();
    expect({ code: again.code, out: again.host.out.text }).toEqual({ code: 0, out: host.out.text });
  } finally {
    await server.close();
    await teacher.close();
  }
});

test('a training file is enough; rows with options are compared by accuracy, and by a grader', async () => {
  const folder = temporaryFolder();
  const out = join(folder, 'moved');
  const grader = join(folder, 'grader.json');
  const check = { type: 'string_check', name: 'great', input: '{{sample.output_text}}', reference: 'great' };
  writeFileSync(grader, JSON.stringify({ ...check, operation: 'eq' }));
  const data = writeRows(optionRows(12), folder);
  const host = fakeHost({ engine: await LocalEngine.open() });
  const words = ['migrate', '--model', tinyModel(), '--data', data, '--out', out, '--grader', grader, '--json'];
  expect(await runProgram([...words, ...training], host)).toBe(0);
  const { comparison, run } = JSON.parse(host.out.text);
  expect(comparison.map(({ metric }: { metric: string }) => metric)).toEqual([
    'reward',
    'accuracy',
    'macro-f1',
    'loss',
  ]);
  expect(existsSync(join(run, 'journal.subzero'))).toBe(true);
  const other = fakeHost();
  expect(await runProgram([...words, ...training, '--rank', '3'], other)).toBe(1);
  expect(other.error.text).toContain('holds a migration with other settings');
});

test.each([
  { words: ['--out', 'o'], what: 'give either --prompts FILE with --teacher NAME, or --data FILE' },
  { words: ['--out', 'o', '--data', 'd', '--epochs', '1', '--steps', '3'], what: '--epochs and --steps both' },
])('$words are refused', async ({ words, what }) => {
  const host = fakeHost();
  expect(await runProgram(['migrate', '--model', 'm', ...words], host)).toBe(2);
  expect(host.error.text).toContain(what);
});
