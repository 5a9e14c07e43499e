import { existsSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openEngine } from '../../src/engine/client.ts';
import type { Engine, EvaluationResult, TrainEvent } from '../../src/engine/types.ts';
import { SubzeroError } from '../../src/errors.ts';
import {
  collect,
  journalOf,
  optionRows,
  quick,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  writeRows,
} from '../train/tiny.ts';

let engine: Engine;
let tiny: string;
let file: string;

beforeAll(async () => {
  engine = await openEngine();
  tiny = tinyModel();
  file = writeRows(optionRows());
  await engine.loadModel({ id: 'tiny', path: tiny });
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

async function failure(work: Promise<unknown>): Promise<SubzeroError> {
  const error = await work.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SubzeroError);
  return error as SubzeroError;
}

async function consume(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

/** Tokens without end: the end-of-text token is forbidden, the context ends it. */
const endless = { model: 'tiny', prompt: 'a', maxTokens: 127, logitBias: { 0: -100 } };

describe('opening', () => {
  test('tells the adapter and the memory in use', async () => {
    const { adapter, features, memory } = await engine.info();
    expect(adapter.description + adapter.device).not.toBe('');
    expect(typeof adapter.software).toBe('boolean');
    expect(Array.isArray(features)).toBe(true);
    expect(memory.liveBytes).toBeGreaterThan(0);
    expect(memory.peakBytes).toBeGreaterThanOrEqual(memory.liveBytes);
    const categories = Object.values(memory.byCategory).reduce((sum, bytes) => sum + bytes, 0);
    expect(categories).toBe(memory.liveBytes);
  });

  test('of an adapter that is not there fails with what to do', async () => {
    const error = await failure(openEngine({ adapter: 'no such adapter anywhere' }));
    expect(error.code).toBe('no_adapter');
    expect(error.message).toContain('that matches "no such adapter anywhere"; this machine has 0: ');
    expect(error.message).not.toContain('\n');
  });
});

describe('models', () => {
  test('are listed with what is known of them', async () => {
    const information = await engine.loadModel({ id: 'other', path: tinyModel('opt-tiny') });
    expect(information).toMatchObject({ id: 'other', architecture: 'opt', kind: 'base', vocabularySize: 160 });
    expect(information.parameterCount).toBeGreaterThan(10_000);
    expect(Math.abs(information.createdAt - Date.now() / 1000)).toBeLessThan(60);
    expect((await engine.models()).map(({ id }) => id)).toEqual(['tiny', 'other']);
    await engine.unloadModel('other');
    expect((await engine.models()).map(({ id }) => id)).toEqual(['tiny']);
  });

  test('are loaded once however often they are asked for', async () => {
    const before = (await engine.info()).memory.byCategory.weights!;
    const path = tinyModel();
    const loads = await Promise.all([1, 2, 3].map(() => engine.loadModel({ id: 'twice', path })));
    expect(loads[1]).toEqual(loads[0]);
    expect(loads[2]).toEqual(loads[0]);
    expect(await engine.loadModel({ id: 'twice', path })).toEqual(loads[0]);
    const one = (await engine.info()).memory.byCategory.weights! - before;
    await engine.unloadModel('twice');
    await engine.loadModel({ id: 'twice', path });
    expect((await engine.info()).memory.byCategory.weights! - before).toBe(one);
    await engine.unloadModel('twice');
    expect((await engine.info()).memory.byCategory.weights).toBe(before);
  });

  test('keep their name: another model under it is refused, also while the first is loading', async () => {
    const [path, other] = [tinyModel(), tinyModel('opt-tiny')];
    const [first, second] = await Promise.allSettled([
      engine.loadModel({ id: 'name', path }),
      engine.loadModel({ id: 'name', path: other }),
    ]);
    expect(first.status).toBe('fulfilled');
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'conflict', parameter: 'id' } });
    const error = await failure(engine.loadModel({ id: 'name', path: other }));
    expect(error.message).toContain(path);
    await engine.unloadModel('name');
  });

  test('can be loaded under a name whose first load failed', async () => {
    const [first, second] = await Promise.allSettled([
      engine.loadModel({ id: 'name', path: join(temporaryFolder(), 'missing') }),
      engine.loadModel({ id: 'name', path: tiny }),
    ]);
    expect(first).toMatchObject({ status: 'rejected', reason: { code: 'not_found' } });
    expect(second.status).toBe('fulfilled');
    await engine.unloadModel('name');
  });

  test('that cannot be loaded leave nothing behind', async () => {
    const before = (await engine.info()).memory;
    const broken = tinyModel();
    const weights = join(broken, 'model.safetensors');
    truncateSync(weights, readFileSync(weights).length - 100);
    const error = await failure(engine.loadModel({ id: 'broken', path: broken }));
    expect(error.code).toBe('invalid_data');
    expect(error.message).toContain('model.safetensors');
    const { liveBytes, byCategory } = (await engine.info()).memory;
    expect(byCategory).toEqual(before.byCategory);
    expect(liveBytes).toBe(before.liveBytes);
    expect((await engine.models()).map(({ id }) => id)).toEqual(['tiny']);
  });
});

describe('errors cross the thread with code and parameter', () => {
  test.each([
    ['tokenize', () => engine.tokenize('nobody', 'a')],
    ['detokenize', () => engine.detokenize('nobody', [1])],
    ['tokenizeChat', () => engine.tokenizeChat('nobody', [])],
    ['tokenStrings', () => engine.tokenStrings('nobody', [1])],
    ['tokenizerInfo', () => engine.tokenizerInfo('nobody')],
    ['unloadModel', () => engine.unloadModel('nobody')],
    ['generate', () => consume(engine.generate({ model: 'nobody', prompt: 'a' }))],
    ['evaluate', () => engine.evaluate({ model: 'nobody', data: { file } })],
  ] as const)('%s of a model that is not loaded', async (_, work) => {
    const error = await failure(work());
    expect(error).toMatchObject({ code: 'not_found', parameter: 'model' });
    expect(error.message).toContain('"nobody"');
    expect(error.message).toContain('tiny');
  });

  test('a stream that fails', async () => {
    const events: TrainEvent[] = [];
    const run = (async () => {
      const out = join(temporaryFolder(), 'run');
      const configuration = { ...quick, steps: -5 };
      for await (const event of engine.train({ model: tiny, data: { file }, configuration, out })) events.push(event);
    })();
    expect(await failure(run)).toMatchObject({ code: 'invalid_argument', parameter: 'steps' });
    expect(events).toEqual([]);
  });

  test('a text that is too long', async () => {
    const error = await failure(engine.tokenize('tiny', 'a'.repeat(5_000_000)));
    expect(error).toMatchObject({ code: 'invalid_argument', parameter: 'prompt' });
    expect(error.message).toContain('5000000');
  });
});

test('tokens make the round trip', async () => {
  const text = 'Cold film, was it not?\n{"a": 1}';
  const ids = await engine.tokenize('tiny', text, false);
  expect(ids.length).toBe(text.length);
  expect(await engine.detokenize('tiny', ids)).toEqual({ text, rest: '' });
});

describe('evaluation', () => {
  test('reports its progress and ends when aborted', async () => {
    const many = writeRows(optionRows(900));
    const seen: number[] = [];
    const result = (await engine.evaluate({ model: 'tiny', data: { file: many }, limit: 130 }, (done, total) => {
      expect(total).toBe(130);
      seen.push(done);
    })) as EvaluationResult;
    expect(result.examples).toBe(130);
    expect(seen.at(-1)).toBe(130);
    expect(seen.length).toBeGreaterThan(1);

    const abort = new AbortController();
    const cancelled = engine.evaluate({ model: 'tiny', data: { file: many } }, () => abort.abort(), abort.signal);
    expect((await failure(cancelled)).code).toBe('cancelled');
    const before = engine.evaluate({ model: 'tiny', data: { file: many } }, undefined, AbortSignal.abort());
    expect((await failure(before)).code).toBe('cancelled');
  });
});

describe('streams', () => {
  test('of a training that is aborted still end with "done"', async () => {
    const run = join(temporaryFolder(), 'run');
    const abort = new AbortController();
    const events: TrainEvent[] = [];
    const configuration = { ...quick, steps: 100_000 };
    for await (const event of engine.train({ model: tiny, data: { file }, configuration, out: run }, abort.signal)) {
      events.push(event);
      if (event.type === 'step' && event.step === 3) abort.abort();
    }
    const last = events.at(-1)!;
    expect(last).toMatchObject({ type: 'done', outcome: 'stopped' });
    const { records } = await journalOf(run);
    expect(last).toMatchObject({ step: records.length });
  });

  test('that are left early stop the work', async () => {
    const run = join(temporaryFolder(), 'run');
    const configuration = { ...quick, steps: 100_000 };
    for await (const event of engine.train({ model: tiny, data: { file }, configuration, out: run })) {
      if (event.type === 'step') break;
    }
    // Leaving waits until the run is closed: its journal is free at once.
    expect(existsSync(join(run, 'journal.subzero.lock'))).toBe(false);
    for await (const event of engine.generate(endless)) if (event.type === 'token') break;
    const abort = new AbortController();
    const types: string[] = [];
    for await (const event of engine.generate(endless, abort.signal)) {
      types.push(event.type);
      abort.abort();
    }
    expect(types).not.toContain('done');
    expect(await collect(engine.train({ resume: run }, AbortSignal.abort()))).toMatchObject([
      { type: 'start' },
      { type: 'done', outcome: 'stopped' },
    ]);
  });
});

describe('closing', () => {
  test('the thread ends by itself: Dawn aborts the process where it owes an answer to a terminated one', async () => {
    const terminate = vi.spyOn(Worker.prototype, 'terminate');
    try {
      const own = await openEngine();
      await own.loadModel({ id: 'tiny', path: tiny });
      const text = consume(own.generate(endless));
      await own.close();
      await text;
      expect(terminate).not.toHaveBeenCalled();
    } finally {
      terminate.mockRestore();
    }
  });

  test('ends what is under way, keeps the runs, and refuses what comes later', async () => {
    const own = await openEngine();
    await own.loadModel({ id: 'tiny', path: tiny });
    const run = join(temporaryFolder(), 'run');
    const configuration = { ...quick, steps: 100_000 };
    let closing: Promise<void> | undefined;
    const events: TrainEvent[] = [];
    const text = consume(own.generate(endless));
    for await (const event of own.train({ model: tiny, data: { file }, configuration, out: run })) {
      events.push(event);
      if (event.type === 'step' && event.step === 4) closing = own.close();
    }
    await Promise.all([closing, own.close()]);
    await text;
    expect(events.at(-1)).toMatchObject({ type: 'done', outcome: 'stopped' });
    expect(existsSync(join(run, 'journal.subzero.lock'))).toBe(false);
    const { records } = await journalOf(run);
    expect(events.at(-1)).toMatchObject({ step: records.length });

    for (const work of [own.info(), own.loadModel({ id: 'a', path: tiny }), consume(own.generate(endless))]) {
      expect((await failure(work)).code).toBe('conflict');
    }
    await own.close();

    // The run goes on in another engine of the same process.
    const [start] = await collect(engine.train({ resume: run }, AbortSignal.abort()));
    expect(start).toMatchObject({ type: 'start', step: records.length });
  });
});
