import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { openJournal } from '../../src/zo/journal.ts';
import { trainAndKill, trainThroughKills } from '../train/killing.ts';
import { completionRows, optionRows, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

afterAll(removeTemporary);

const common = ['--batch-size', '4', '--learning-rate', '1e-3', '--rank', '4'];

test.each([
  { model: 'llama-tiny', rows: optionRows(), settings: ['--refresh', '7', '--seed', '5'] },
  { model: 'opt-tiny', rows: completionRows(), settings: ['--refresh', '3', '--queries', '3', '--sides', '1'] },
  {
    model: 'llama-tiny-f16',
    rows: optionRows(),
    settings: ['--refresh', '5', '--storage', 'f16', '--weight-decay', '0.1'],
  },
])(
  '$model through 24 kills at random moments: the weights of an undisturbed run',
  async ({ model: name, rows, settings }) => {
    const folder = temporaryFolder();
    const model = tinyModel(name);
    const file = writeRows(rows);
    const start = (out: string): string[] => [
      ...['--model', model, '--data', file, '--out', join(folder, out), '--steps', '384', ...common, ...settings],
    ];
    expect(await trainAndKill(start('whole'), undefined)).toMatchObject({ code: 0, errors: expect.any(String) });
    const run = join(folder, 'killed');
    const ordeal = await trainThroughKills(start('killed'), run, { steps: 384, atLeast: 24, seed: settings.length });
    expect(ordeal.kills).toBeGreaterThanOrEqual(24);
    expect(new Set(ordeal.steps).size).toBeGreaterThanOrEqual(12);

    const records = async (out: string) => (await openJournal(join(folder, out, 'journal.subzero'))).records;
    expect(await records('killed')).toEqual(await records('whole'));
    const engine = await LocalEngine.open();
    const weights = [];
    for (const out of ['whole', 'killed']) {
      const target = join(folder, `${out} exported`);
      await engine.exportRun({ run: join(folder, out), format: 'safetensors', out: target });
      weights.push(readFileSync(join(target, 'model.safetensors')));
    }
    await engine.close();
    expect(Buffer.compare(weights[0]!, weights[1]!)).toBe(0);
  },
);
