/**
 * A run on conversations that version 0.1.0 of November 2026 began: it learnt the last turn alone, and had BOS in front
 * of what the chat template writes. The fixture has its header (without paths) and its four records.
 */

import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resumeRun } from '../../src/train/resume.ts';
import {
  decodeHeader,
  encodeHeader,
  encodeRecord,
  type JournalHeader,
  type StepRecord,
} from '../../src/zo/journal-format.ts';
import { openTestGpu } from '../support/gpu.ts';

const gpu = openTestGpu();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'subzero-old-run-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('goes on with the tokens that it began with', async () => {
  const { header, records } = JSON.parse(
    await readFile(new URL('../fixtures/runs/conversations-0.1.0.json', import.meta.url), 'utf8'),
  ) as { header: JournalHeader; records: StepRecord[] };
  expect(header.configuration).not.toHaveProperty('learn');

  // The model as it was: its template did not write BOS.
  const model = join(folder, 'model');
  await cp(fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url)), model, { recursive: true });
  const config = JSON.parse(await readFile(join(model, 'tokenizer_config.json'), 'utf8'));
  const template = config.chat_template.replace('{{ bos_token }}', '');
  expect(template).not.toBe(config.chat_template);
  await writeFile(join(model, 'tokenizer_config.json'), JSON.stringify({ ...config, chat_template: template }));

  const file = join(folder, 'rows.jsonl');
  const rows = [
    ['was the film good ?', ' it was great .', 'and the end ?', ' it was dull .'],
    ['was it funny ?', ' no .', 'why ?', ' it was sad .'],
  ].map((texts) => texts.map((content, index) => ({ role: index % 2 === 0 ? 'user' : 'assistant', content })));
  await writeFile(file, rows.map((messages) => `${JSON.stringify({ messages })}\n`).join(''));

  const run = join(folder, 'run');
  await mkdir(run);
  const bytes = encodeHeader({ ...header, basePath: model, extra: { ...header.extra, sources: { data: { file } } } });
  const parts = [bytes];
  let { checksum } = decodeHeader(bytes, 'the fixture');
  for (const record of records.slice(0, 2)) {
    const encoded = encodeRecord(record, checksum);
    parts.push(encoded.bytes);
    checksum = encoded.checksum;
  }
  await writeFile(join(run, 'journal.subzero'), Buffer.concat(parts));

  const losses: number[] = [];
  for await (const event of resumeRun(gpu(), { folder: run })) if (event.type === 'step') losses.push(event.loss);
  expect(losses).toHaveLength(2);
  for (const [index, loss] of losses.entries()) expect(Math.abs(loss - records[2 + index]!.loss)).toBeLessThan(1e-4);
});
