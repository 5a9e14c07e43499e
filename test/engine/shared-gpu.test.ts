import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import type { GenerateRequest, TrainEvent } from '../../src/engine/types.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { runFiles } from '../../src/train/run-folder.ts';
import { ofType, optionRows, quick, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

/** With a fold after the fifth. */
const steps = 6;

let gpu: Gpu;
let engine: LocalEngine;
let model: string;
let file: string;

beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  model = tinyModel();
  file = writeRows(optionRows());
  await engine.loadModel({ id: 'tiny', path: model });
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});
beforeEach(() => cutWork(0.05));

/**
 * Tiny work would hardly be cut by its time; in these tests a few launches are a piece, and matrix products several.
 */
function cutWork(milliseconds: number): void {
  Object.defineProperty(gpu.turns, 'pieceMilliseconds', { get: () => milliseconds, configurable: true });
}

const text = (seed: number): GenerateRequest => ({
  model: 'tiny',
  prompt: 'the film was',
  maxTokens: 12,
  seed,
  logitBias: { 0: -100 },
});

async function generated(seed: number): Promise<string> {
  let whole = '';
  for await (const event of engine.generate(text(seed))) if (event.type === 'done') whole = event.text;
  return whole;
}

/** Trains in a new folder. @returns what decides the run, bit for bit, and what was evaluated */
async function trained(optimizer: 'subzero' | 'mezo', onStep: (event: TrainEvent) => void = () => {}) {
  const out = join(temporaryFolder(), 'run');
  const events: TrainEvent[] = [];
  const configuration = { ...quick, steps, optimizer, evaluateEvery: 4 };
  const request = { model, data: { file }, validation: { file }, configuration, out };
  for await (const event of engine.train(request)) {
    events.push(event);
    onStep(event);
  }
  const journal = readFileSync(join(out, runFiles.journal));
  const evaluations = ofType(events, 'evaluation').map(({ step, loss, accuracy }) => ({ step, loss, accuracy }));
  return { records: journal.subarray(-(20 * steps)).toString('hex'), evaluations };
}

test.each(['subzero', 'mezo'] as const)(
  '%s: text generated in the middle of steps changes neither the run nor the text',
  async (optimizer) => {
    cutWork(Number.POSITIVE_INFINITY);
    const quiet = await trained(optimizer);
    const texts = [await generated(1), await generated(2)];
    cutWork(0.05);
    let others: Promise<string[]> | undefined;
    let rounds = 0;
    const disturbed = await trained(optimizer, ({ type }) => {
      if (type !== 'start' && type !== 'step') return;
      others ??= Promise.all([generated(1), generated(2)]).then((result) => {
        rounds++;
        others = undefined;
        expect(result).toEqual(texts);
        return result;
      });
    });
    await others;
    expect(rounds).toBeGreaterThan(2);
    expect(disturbed).toEqual(quiet);
  },
);

test('two runs at once are what they are alone', async () => {
  const alone = [await trained('subzero'), await trained('mezo')];
  expect(await Promise.all([trained('subzero'), trained('mezo')])).toEqual(alone);
});

test('vectors of texts are the same while a run trains', async () => {
  const request = { model: 'tiny', inputs: ['a warm film', 'dull'], pooling: 'mean' as const };
  const quiet = await engine.embed(request);
  const training = trained('subzero');
  const vectors = [];
  for (let round = 0; round < 3; round++) vectors.push((await engine.embed(request)).vectors);
  await training;
  for (const other of vectors) expect(other).toEqual(quiet.vectors);
});

test('unloading a model waits for vectors under way', async () => {
  await engine.loadModel({ id: 'other', path: model });
  const embedding = engine.embed({ model: 'other', inputs: Array(20).fill('a film '.repeat(10)), pooling: 'mean' });
  await engine.unloadModel('other');
  await embedding.catch((error) => expect(error).toMatchObject({ code: 'cancelled' }));
  // Whatever the GPU had to say about freed memory would be thrown here.
  await gpu.idle();
  expect(await generated(1)).not.toBe('');
});
