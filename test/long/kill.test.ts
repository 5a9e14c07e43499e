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

// A process dies between two weights of the bank, or with folds that were just sent to the GPU, once in each period:
// the periods before it are gone through again by the replay.
const period = 3;
/** Matrices of the tiny model that train: of its two layers, and the embedding. */
const weights = 15;
test.each([
  { place: 'fold', model: 'llama-tiny', settings: '' },
  { place: 'fold', model: 'llama-tiny-f16', settings: '--storage f16' },
  { place: 'compression', model: 'llama-tiny', settings: '--storage q8 --bank-rank 6' },
  { place: 'compression', model: 'llama-tiny', settings: '--change bank --bank-rank 4 --bank-storage f32' },
])(
  '$model $settings: killed in each $place, to the weights of an undisturbed run',
  async ({ place, model, settings }) => {
    const own = `${common} --refresh ${period} --seed 9 ${settings}`.trim().split(' ');
    const parameters = ['--model', tinyModel(model), '--data', writeRows(optionRows()), ...own];
    const kills = 5;
    const places = Array.from({ length: kills }, (_, index) => `${place}:${index * weights + 1 + 2 * index}`);
    const plan = { steps: period * (kills + 1), atLeast: kills, seed: 1, places };
    const { ordeal, records, weights: bits } = await trainWholeAndKilled(parameters, plan);
    expect(ordeal.kills).toBe(kills);
    // The last record is that of the period's last step, or the one before where that was not kept yet.
    for (const [index, step] of ordeal.steps.entries()) expect([0, 1]).toContain(period * (index + 1) - step);
    expect(records.killed).toEqual(records.whole);
    expect(Buffer.compare(bits.killed, bits.whole)).toBe(0);
  },
);
