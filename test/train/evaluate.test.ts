import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import { SubzeroError } from '../../src/errors.ts';
import { completionRows, optionRows, removeTemporary, temporaryFolder, tinyModel, writeRows } from './tiny.ts';

let engine: LocalEngine;

beforeAll(async () => {
  engine = await LocalEngine.open();
  await engine.loadModel({ id: 'tiny', path: tinyModel() });
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

describe('evaluation', () => {
  test('of the reviews model agrees with the reference, row by row', async () => {
    const golden = JSON.parse(readFileSync(new URL('../fixtures/golden/reviews-3m.json', import.meta.url), 'utf8')) as {
      sst2_dev_first8: { prompt: string; label: number; loss: number; option_token_logprobs: [[number], [number]] }[];
    };
    const path = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
    await engine.loadModel({ id: 'reviews', path });
    const options = [' terrible', ' great'];
    for (const { prompt, label, loss, option_token_logprobs } of golden.sst2_dev_first8) {
      const file = writeRows(JSON.stringify({ prompt, options, label }));
      const result = await engine.evaluate({ model: 'reviews', data: { file } });
      expect(result.loss).toBeCloseTo(loss, 4);
      const best = option_token_logprobs[1][0] > option_token_logprobs[0][0] ? 1 : 0;
      expect(result).toMatchObject({ examples: 1, tokens: 2, accuracy: best === label ? 1 : 0 });
    }
    await engine.unloadModel('reviews');
  });

  test('is the mean over its rows, whatever they are packed with', async () => {
    const rows = optionRows(150).trim().split('\n');
    const all = await engine.evaluate({ model: 'tiny', data: { file: writeRows(rows.join('\n')) } });
    expect(all).toMatchObject({ examples: 150 });
    let loss = 0;
    let right = 0;
    for (const part of [rows.slice(0, 1), rows.slice(1, 70), rows.slice(70)]) {
      const result = await engine.evaluate({ model: 'tiny', data: { file: writeRows(part.join('\n')) } });
      loss += result.loss * part.length;
      right += result.accuracy! * part.length;
    }
    expect(loss / 150).toBeCloseTo(all.loss, 6);
    expect(right / 150).toBeCloseTo(all.accuracy!, 6);
  });

  test('says how many rows lost the start of their prompt', async () => {
    const long = JSON.stringify({ prompt: 'a b '.repeat(1000), completion: ' yes' });
    const file = writeRows(`${completionRows(3)}\n${long}\n`);
    expect(await engine.evaluate({ model: 'tiny', data: { file } })).toMatchObject({ examples: 4, truncated: 1 });
    expect(await engine.evaluate({ model: 'tiny', data: { file }, limit: 3 })).not.toHaveProperty('truncated');
  });

  test('of completions: loss per token, no accuracy', async () => {
    const result = await engine.evaluate({ model: 'tiny', data: { file: writeRows(completionRows(10)) } });
    expect(result.accuracy).toBeNull();
    // " yes, 0." has eight characters, a token each.
    expect(result).toMatchObject({ examples: 10, tokens: 80 });
    expect(result.loss).toBeGreaterThan(Math.log(160) - 1.5);
    expect(result.loss).toBeLessThan(Math.log(160) + 1.5);
  });

  test('of the first rows only', async () => {
    const file = writeRows(optionRows(30));
    const part = await engine.evaluate({ model: 'tiny', data: { file }, limit: 10 });
    const whole = await engine.evaluate({ model: 'tiny', data: { file: writeRows(optionRows(10)) } });
    expect(part.examples).toBe(10);
    expect(part.loss).toBe(whole.loss);
  });

  test('reports how far it is', async () => {
    const seen: [number, number][] = [];
    await engine.evaluate({ model: 'tiny', data: { file: writeRows(optionRows(150)) } }, (done, total) => {
      seen.push([done, total]);
    });
    expect(seen.at(-1)).toEqual([150, 150]);
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.every(([done], i) => i === 0 || done > seen[i - 1]![0])).toBe(true);
  });

  test('ends when it is cancelled', async () => {
    const abort = new AbortController();
    const file = writeRows(optionRows(600));
    let last = 0;
    const result = engine.evaluate(
      { model: 'tiny', data: { file } },
      (done) => {
        last = done;
        abort.abort();
      },
      abort.signal,
    );
    await expect(result).rejects.toMatchObject({ code: 'cancelled' });
    expect(last).toBeLessThan(600);
  });

  test.each([
    { what: 'a missing file', file: () => join(temporaryFolder(), 'missing.jsonl'), code: 'not_found' },
    { what: 'an empty file', file: () => writeRows(''), code: 'invalid_data' },
    {
      what: 'a label that is no option',
      file: () => writeRows('{"prompt":"a","options":["b","c"],"label":"d"}'),
      code: 'invalid_data',
    },
  ])('of $what is refused', async ({ file, code }) => {
    const path = file();
    const error = await engine.evaluate({ model: 'tiny', data: { file: path } }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SubzeroError);
    expect(error).toMatchObject({ code });
    expect((error as Error).message).toContain(path);
  });
});
