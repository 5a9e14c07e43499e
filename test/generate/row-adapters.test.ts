/**
 * Texts with adapters of their own in one pass: their log-probabilities against PEFT in float64
 * (test/reference/peft_adapters.py), and to the bit what they are alone.
 */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import type { AdapterChoice, GenerateEvent, GenerateRequest } from '../../src/engine/types.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { withSeed } from '../support/random.ts';
import { readFixture } from '../support/zo/golden.ts';
import { removeTemporary, tinyModel } from '../train/tiny.ts';

interface Fixture {
  ids: number[][];
  last_logits: number[][];
}

type Token = Extract<GenerateEvent, { type: 'token' }>;

const adapters = fileURLToPath(new URL('../fixtures/peft-adapters', import.meta.url));
/** Ids of all models here; those of characters end at 96. */
const vocabulary = 160;

/** The tokens that no tokenizer here has, which would end a text or have no characters. */
const onlyCharacters = Object.fromEntries(
  Array.from({ length: vocabulary }, (_, id) => id)
    .filter((id) => id === 0 || id > 96)
    .map((id) => [id, -100]),
);

let gpu: Gpu;
let engine: LocalEngine;
beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  const [qwen, opt] = [tinyModel('qwen3-odd-tiny'), tinyModel('opt-odd-tiny')];
  await engine.loadModel({ id: 'qwen', path: qwen });
  await engine.loadModel({ id: 'first', path: qwen, lora: join(adapters, 'first') });
  await engine.loadModel({ id: 'second', path: qwen, lora: join(adapters, 'second') });
  await engine.loadModel({ id: 'opt', path: opt });
  await engine.loadModel({ id: 'half', path: opt, lora: join(adapters, 'half') });
  await engine.loadModel({ id: 'dora', path: opt, lora: join(adapters, 'dora') });
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

async function tokensOf(request: GenerateRequest, signal?: AbortSignal): Promise<Token[]> {
  const tokens: Token[] = [];
  for await (const event of engine.generate({ temperature: 0, ...request }, signal)) {
    if (event.type === 'token') tokens.push(event);
  }
  return tokens;
}

/** The log-probabilities of all tokens after a sequence, by id. */
async function logProbabilities(request: GenerateRequest): Promise<number[]> {
  const [token] = await tokensOf({ ...request, maxTokens: 1, topLogprobs: vocabulary, logitBias: { 0: 0 } });
  const result: number[] = Array.from({ length: vocabulary });
  for (const { id, logprob } of token!.topLogprobs) result[id] = logprob;
  return result;
}

function logSoftmax(logits: readonly number[]): number[] {
  const most = Math.max(...logits);
  const sum = Math.log(logits.reduce((total, logit) => total + Math.exp(logit - most), 0));
  return logits.map((logit) => logit - most - sum);
}

const mixture: AdapterChoice[] = [
  { name: 'first', weight: 0.5 },
  { name: 'second', weight: -1.25 },
];

describe('as PEFT has it', () => {
  test.each([
    [
      'mixed',
      [
        ['mixed', 'qwen', mixture],
        ['first/logits', 'first'],
        ['second/logits', 'qwen', [{ name: 'second' }]],
      ],
    ],
    [
      'DoRA',
      [
        ['dora/logits', 'dora'],
        ['half/logits', 'half'],
        ['dora/logits', 'opt', [{ name: 'dora' }]],
      ],
    ],
  ] as [string, [string, string, AdapterChoice[]?][]][])(
    '%s, in one pass with others and the base',
    async (_, cases) => {
      const wanted = cases.flatMap(([fixture, model, choices]) => {
        const { ids, last_logits: logits } = readFixture<Fixture>(`peft-adapters/${fixture}.json`);
        return ids.map((tokens, index) => {
          const request = { model, tokens, ...(choices ? { adapters: choices } : {}) };
          return { request, expected: logSoftmax(logits[index]!) };
        });
      });
      const base = { model: cases[0]![1], adapters: [], tokens: wanted[1]!.request.tokens };
      const [plain, ...found] = await Promise.all(
        [base, ...wanted.map(({ request }) => request)].map(logProbabilities),
      );
      for (const [index, { expected }] of wanted.entries()) {
        const error = Math.max(...expected.map((value, id) => Math.abs(value - found[index]![id]!)));
        expect(error).toBeLessThan(2e-5);
        const change = Math.max(...expected.map((value, id) => Math.abs(value - plain![id]!)));
        expect(change).toBeGreaterThan(1e-2);
      }
    },
  );
});

test('a text is to the bit what it is alone, and texts of all adapters share passes', () =>
  withSeed('row adapters', async (random) => {
    const choices: [string, AdapterChoice[]?][] = [
      ['qwen'],
      ['first'],
      ['second'],
      ['qwen', mixture],
      [
        'second',
        [
          { name: 'second', weight: 3 },
          { name: 'first', weight: random.normals(1)[0]! },
        ],
      ],
      ['first', []],
    ];
    const requests = choices.map(
      ([model, own]): GenerateRequest => ({
        model,
        ...(own ? { adapters: own } : {}),
        tokens: Array.from({ length: random.integer(1, 9) }, () => random.integer(1, 97)),
        maxTokens: 6,
        topLogprobs: 5,
        logitBias: onlyCharacters,
      }),
    );
    const alone: Token[][] = [];
    for (const request of requests) alone.push(await tokensOf(request));
    const reads = vi.spyOn(gpu.recorder, 'read');
    const together = await Promise.all(requests.map((request) => tokensOf(request)));
    // A pass is read once; some texts may begin a pass later than others.
    expect(reads.mock.calls.length).toBeLessThan(6 + requests.length);
    reads.mockRestore();
    // On GPUs the products' plans depend on how many rows a pass has.
    if (gpu.adapter.software) expect(together).toEqual(alone);
    else expect(together.map((tokens) => tokens.length)).toEqual(alone.map((tokens) => tokens.length));
    const shown = (tokens: Token[]): string => JSON.stringify(tokens.map(({ logprob }) => logprob));
    expect(new Set([alone[0], alone[1], alone[2], alone[3]].map((tokens) => shown(tokens!))).size).toBe(4);
  }));

test('the base by way of an adapter, and an adapter by way of the base', async () => {
  const of = (model: string, choices?: AdapterChoice[]) =>
    logProbabilities({ model, tokens: [5, 6, 7], ...(choices ? { adapters: choices } : {}) });
  expect(await of('first', [])).toEqual(await of('qwen'));
  expect(await of('first', [{ name: 'first', weight: 0 }])).toEqual(await of('qwen'));
  expect(await of('qwen', [{ name: 'first' }])).toEqual(await of('first'));
  expect(await of('qwen', [...mixture].reverse())).toEqual(await of('second', mixture));
});

test.each<[string, string, AdapterChoice[], string]>([
  ['an unknown name', 'qwen', [{ name: 'x' }], 'the adapter "x" is not loaded; those of "qwen" are first, second'],
  ['a base model', 'first', [{ name: 'qwen' }], 'the adapter "qwen" is a model without an adapter of PEFT'],
  ['an adapter of another base', 'qwen', [{ name: 'half' }], '"half" belongs to another base model than "qwen"'],
  ['one named twice', 'qwen', [{ name: 'first' }, { name: 'first' }], 'the adapter "first" is named twice'],
  ['a weight that is none', 'qwen', [{ name: 'first', weight: Number.NaN }], 'must be a number; got NaN'],
  ['a part of a DoRA', 'opt', [{ name: 'dora', weight: 0.5 }], '"dora" is a DoRA, which can only be used alone'],
  [
    'a DoRA with another',
    'opt',
    [{ name: 'dora' }, { name: 'half' }],
    '"dora" is a DoRA, which can only be used alone',
  ],
])('%s is refused', async (_, model, choices, message) => {
  const work = tokensOf({ model, tokens: [5], adapters: choices });
  await expect(work).rejects.toThrow(message);
  await expect(work).rejects.toMatchObject({ code: 'invalid_argument', parameter: 'adapters' });
});

test('an adapter that is unloaded ends its own texts', async () => {
  const { path } = (await engine.models()).find(({ id }) => id === 'qwen')!;
  await engine.loadModel({ id: 'third', path, lora: join(adapters, 'second') });
  const request = { tokens: [5, 6, 7], maxTokens: 40, logitBias: onlyCharacters };
  const expected = await tokensOf({ ...request, model: 'qwen' });
  const begun = engine.generate({ ...request, model: 'third' })[Symbol.asyncIterator]();
  const borrowed = engine
    .generate({ ...request, model: 'qwen', adapters: [{ name: 'third' }] })
    [Symbol.asyncIterator]();
  const other = tokensOf({ ...request, model: 'qwen' });
  for (const texts of [begun, borrowed]) for (let event = 0; event < 3; event++) await texts.next();
  await engine.unloadModel('third');
  const ended = async (texts: AsyncIterator<GenerateEvent>): Promise<void> => {
    while (!(await texts.next()).done);
  };
  await expect(ended(begun)).rejects.toThrow('the model was unloaded');
  await expect(ended(borrowed)).rejects.toThrow('the model was unloaded');
  expect((await other).map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
});
