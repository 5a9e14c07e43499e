import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { openJournal } from '../../src/zo/journal.ts';
import { trainAndKill, trainThroughKills } from './killing.ts';
import { optionRows, removeTemporary, temporaryFolder, tinyModel, writeRows } from './tiny.ts';

afterAll(removeTemporary);

test('a run that is killed eight times at random moments ends like an undisturbed one, to the last bit', async () => {
  const folder = temporaryFolder();
  const start = (out: string): string[] => [
    ...['--model', model, '--data', file, '--out', join(folder, out), '--steps', '128', '--batch-size', '4'],
    ...['--learning-rate', '1e-3', '--rank', '4', '--refresh', '7', '--queries', '2', '--seed', '5'],
  ];
  const model = tinyModel();
  const file = writeRows(optionRows());

  expect(await trainAndKill(start('whole'), undefined)).toMatchObject({ code: 0, errors: expect.any(String) });
  const run = join(folder, 'killed');
  const ordeal = await trainThroughKills(start('killed'), run, { steps: 128, atLeast: 8, seed: 1 });
  expect(ordeal.kills).toBeGreaterThanOrEqual(8);
  // Kills that all hit the start of the process would show nothing.
  expect(new Set(ordeal.steps).size).toBeGreaterThanOrEqual(4);

  const records = async (out: string) => (await openJournal(join(folder, out, 'journal.subzero'))).records;
  expect(await records('killed')).toEqual(await records('whole'));
  const engine = await LocalEngine.open();
  const weights = [];
  for (const name of ['whole', 'killed']) {
    const out = join(folder, `${name} exported`);
    await engine.exportRun({ run: join(folder, name), format: 'safetensors', out });
    weights.push(readFileSync(join(out, 'model.safetensors')));
  }
  await engine.close();
  expect(Buffer.compare(weights[0]!, weights[1]!)).toBe(0);
});
