import { expect, test } from 'vitest';
import { settingsOf } from '../../server/dashboard/job-settings.js';

const jobOf = (type: string, method: object) => ({ method: { type, [type]: method } });

test('settings of a job are words: lists with commas, bytes with a unit, a dash for nothing', () => {
  const hyperparameters = { lora_targets: ['q_proj', 'v_proj'], labels: [], template: '', steps: 0, reshape: false };
  expect(settingsOf(jobOf('zeroth_order', { hyperparameters }))).toEqual([
    ['lora_targets', 'q_proj, v_proj'],
    ['labels', '–'],
    ['template', '–'],
    ['steps', '0'],
    ['reshape', 'false'],
  ]);
  expect(settingsOf(jobOf('supervised', { hyperparameters: { memory: 0 } }))).toEqual([['memory', 'no limit']]);
  expect(settingsOf(jobOf('supervised', { hyperparameters: { memory: 6 * 2 ** 30 } }))).toEqual([
    ['memory', '6.0 GiB'],
  ]);
});

test('the grader of a job comes first, by its name and type', () => {
  const method = { grader: { type: 'string_check', name: 'great' }, hyperparameters: { steps: 2 } };
  expect(settingsOf(jobOf('reinforcement', method))).toEqual([
    ['grader', 'great, string_check'],
    ['steps', '2'],
  ]);
});
