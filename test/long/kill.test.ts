import { afterAll, expect, test } from 'vitest';
import { trainWholeAndKilled } from '../train/killing.ts';
import { completionRows, optionRows, removeTemporary, tinyModel, writeRows } from '../train/tiny.ts';

afterAll(removeTemporary);

const common = '--batch-size 4 --learning-rate 1e-3 --rank 4';

test.each<{ kills: number; model: string; rows?: string; peft?: boolean; settings: string }>([
  { kills: 24, model: 'llama-tiny', settings: '--refresh 7 --seed 5' },
  { kills: 24, model: 'opt-tiny', rows: completionRows(), settings: '--refresh 3 --queries 3 --sides 1' },
  { kills: 24, model: 'llama-tiny-f16', settings: '--refresh 5 --storage f16 --weight-decay 0.1' },
  // Each period ends in a compression.
  { kills: 12, model: 'llama-tiny', settings: '--refresh 3 --storage q8 --bank-rank 6' },
  {
    ...{ kills: 12, model: 'llama-tiny' },
    settings: '--refresh 2 --storage q8 --bank-rank 6 --bank-storage f32 --weight-decay 0.1',
  },
  { kills: 10, model: 'llama-tiny', settings: '--scheme lora --refresh 7' },
  {
    ...{ kills: 10, model: 'opt-tiny', rows: completionRows(), peft: true },
    settings: '--scheme prefix --optimizer subzero-plus --refresh 6',
  },
  // These keep moments or a curvature of every weight, which only the records bring back.
  { kills: 10, model: 'llama-tiny', settings: '--optimizer mezo --mezo-update adam --queries 2' },
  { kills: 10, model: 'llama-tiny-f16', settings: '--optimizer hizoo --learning-rate 1e-5 --storage f16' },
])(
  '$model $settings: through $kills kills at random moments to the weights of an undisturbed run',
  async ({ kills, model, rows = optionRows(), peft = false, settings }) => {
    const parameters = ['--model', tinyModel(model), '--data', writeRows(rows), ...`${common} ${settings}`.split(' ')];
    const plan = { steps: 16 * kills, atLeast: kills, seed: settings.length, peft };
    const { ordeal, records, weights } = await trainWholeAndKilled(parameters, plan);
    expect(ordeal.kills).toBeGreaterThanOrEqual(kills);
    // Kills that all hit the start of the process would show nothing.
    expect(new Set(ordeal.steps).size).toBeGreaterThanOrEqual(kills / 2);
    expect(records.killed).toEqual(records.whole);
    expect(Buffer.compare(weights.killed, weights.whole)).toBe(0);
  },
);
