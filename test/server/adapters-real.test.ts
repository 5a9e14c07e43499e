/** Adapters of PEFT over HTTP with the real engine: by name, mixed, and many at the same time. */

import { fileURLToPath } from 'node:url';
import type OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { removeTemporary, tinyModel } from '../train/tiny.ts';
import { type RealServer, startRealServer } from './real-server.ts';

let server: RealServer;

beforeAll(async () => {
  const path = tinyModel('qwen3-odd-tiny');
  const lora = (name: string) => fileURLToPath(new URL(`../fixtures/peft-adapters/${name}`, import.meta.url));
  server = await startRealServer({
    models: [
      { id: 'base', path },
      { id: 'first', path, lora: lora('first'), base: 'base' },
      { id: 'second', path, lora: lora('second'), base: 'base' },
    ],
  });
});
afterAll(async () => {
  await server.close();
  removeTemporary();
});

/** The log-probabilities of an answer, which tell which model has made it. */
async function logprobs(model: string, extra: object = {}): Promise<number[]> {
  const body = {
    model,
    prompt: 'a film',
    max_tokens: 3,
    temperature: 0,
    logprobs: 0,
    logit_bias: { 0: -100 },
    ...extra,
  };
  const { choices } = (await server.client.completions.create(body)) as OpenAI.Completion;
  return choices[0]!.logprobs!.token_logprobs!;
}

test('names, mixtures and numbers mean the same at the same time as alone', async () => {
  const mixture = [
    { name: 'first', weight: 0.5 },
    { name: 'second', weight: -1.25 },
  ];
  const lora = mixture.map(({ weight }, id) => ({ id, scale: weight }));
  const requests: [string, object?][] = [
    ['base'],
    ['first'],
    ['second'],
    ['base', { adapters: mixture }],
    ['base', { adapters: [{ name: 'first' }] }],
    ['second', { lora }],
    ['first', { adapters: [] }],
  ];
  const [base, first, second, mixed, named, numbered, plain] = await Promise.all(
    requests.map(([model, extra]) => logprobs(model, extra)),
  );
  expect(new Set([base, first, second, mixed].map((values) => JSON.stringify(values))).size).toBe(4);
  const { adapter } = await server.engine.info();
  // On GPUs the last bits may depend on how many texts share a pass.
  const digits = adapter.software ? 12 : 4;
  const expectEqual = (values: number[], others: number[]) => {
    for (const [index, value] of values.entries()) expect(value).toBeCloseTo(others[index]!, digits);
  };
  expectEqual(named!, first!);
  expectEqual(numbered!, mixed!);
  expectEqual(plain!, base!);
  expectEqual(await logprobs('base', { adapters: mixture }), mixed!);

  const scales = (body: object[]) =>
    fetch(`${server.url}/lora-adapters`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  expect((await scales(lora)).status).toBe(200);
  expectEqual(await logprobs('base'), mixed!);
  expectEqual(await logprobs('first'), first!);
  await scales([]);
  expectEqual(await logprobs('base'), base!);
});
