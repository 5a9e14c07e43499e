/** Tokens that the tokenizer has and the model has no row of, through every door of the engine. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TokenizedExample } from '../../src/data/example.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { packExamples, packSequences } from '../../src/model/batch.ts';
import { checkBatchIds, checkTargetIds } from '../../src/model/batch-ids.ts';
import { embedSequences } from '../../src/model/embed.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { resolveConfiguration } from '../../src/settings/configuration.ts';
import { Scorer } from '../../src/train/score.ts';
import { collect, optionRows, quick, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

/** Rows of the fixtures' embeddings: the first id that is none. */
const vocabularySize = 160;

let gpu: Gpu;
let engine: LocalEngine;
let model: string;
beforeAll(async () => {
  gpu = await Gpu.open();
  engine = new LocalEngine(gpu);
  model = tinyModel();
  const file = join(model, 'tokenizer.json');
  const tokenizer = JSON.parse(readFileSync(file, 'utf8'));
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
  // Ids of added tokens go on from those of the vocabulary.
  const first = Math.max(...(Object.values(tokenizer.model.vocab) as number[])) + 1;
  for (let id = first; id < vocabularySize; id++) {
    tokenizer.added_tokens.push({ id, content: `<spare ${id}>`, ...flags });
  }
  tokenizer.added_tokens.push({ id: vocabularySize, content: '<new>', ...flags });
  writeFileSync(file, JSON.stringify(tokenizer));
  await engine.loadModel({ id: 'tiny', path: model });
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

const unknown = 'token "<new>" (id 160) is not in the vocabulary of 160';

/** A row with the token in its prompt, in an option that is not the label, or in its completion. */
const badRows = {
  prompt: { prompt: 'a <new> film, it was', options: [' bad', ' great'], label: 0 },
  option: { prompt: 'a film, it was', options: [' bad', ' great<new>'], label: 0 },
  'last token of the label': { prompt: 'a film, it was', options: [' bad', ' great<new>'], label: 1 },
  completion: { prompt: 'a film, it was', completion: ' gr<new>eat' },
  text: { text: 'a film <new> again' },
};

describe.each(Object.entries(badRows))('in a %s', (_, row) => {
  const rowsBefore = 'options' in row ? optionRows(24) : '';
  const file = () => writeRows(`${rowsBefore}${JSON.stringify(row)}\n`);
  const line = rowsBefore === '' ? 1 : 25;

  test('training, evaluation and the search for a learning rate name file and line', async () => {
    const data = { file: file() };
    const expected = { code: 'invalid_data', message: expect.stringContaining(`${data.file}:${line}: ${unknown}`) };
    const out = join(temporaryFolder(), 'run');
    await expect(collect(engine.train({ model, data, configuration: quick, out }))).rejects.toMatchObject(expected);
    await expect(engine.evaluate({ model: 'tiny', data })).rejects.toMatchObject(expected);
    const find = async () => {
      for await (const _ of engine.findLearningRate({ model, data, configuration: quick, trialSteps: 2 }));
    };
    await expect(find()).rejects.toMatchObject(expected);
  });

  test('a step run names the example', async () => {
    const id = `steps of ${Object.keys(row).join()} ${JSON.stringify(row).length}`;
    await engine.createRun({ id, model, configuration: quick });
    const good = 'options' in row ? { prompt: 'a', options: [' b', ' c'], label: 1 } : { prompt: 'a', completion: 'b' };
    const data = [good, row];
    const expected = { code: 'invalid_data', message: expect.stringContaining(`data.1: ${unknown}`) };
    await expect(engine.forwardRun(id, data)).rejects.toMatchObject(expected);
    await expect(engine.probeRun(id, data)).rejects.toMatchObject(expected);
    await expect(engine.stepRun(id, data)).rejects.toMatchObject(expected);
    expect((await engine.stepRun(id, [good])).record.step).toBe(1);
    await engine.unloadModel(id);
  });
});

test('validation data names file and line before the first step', async () => {
  const file = writeRows(`${JSON.stringify(badRows.option)}\n`);
  const request = { model, data: { file: writeRows(optionRows()) }, validation: { file }, configuration: quick };
  const run = collect(engine.train({ ...request, out: join(temporaryFolder(), 'run') }));
  await expect(run).rejects.toThrow(`${file}:1: ${unknown}`);
});

describe('a request', () => {
  const rejects = (parameter: string, message = unknown) => ({
    code: 'invalid_argument',
    parameter,
    message: expect.stringContaining(message),
  });

  test('for vectors of a text or of tokens', async () => {
    const embed = (input: string | number[]) => engine.embed({ model: 'tiny', inputs: ['a', input], pooling: 'mean' });
    await expect(embed('a <new>')).rejects.toMatchObject(rejects('input'));
    await expect(embed([3, vocabularySize])).rejects.toMatchObject(rejects('input'));
    await expect(embed([3, -1])).rejects.toMatchObject(rejects('input', 'token -1 is not'));
    expect((await embed([3, vocabularySize - 1])).vectors).toHaveLength(2);
  });

  test('for a text, a score of the prompt, or a bias', async () => {
    const generate = async (extra: object) => {
      for await (const _ of engine.generate({ model: 'tiny', maxTokens: 1, ...extra }));
    };
    await expect(generate({ prompt: 'a <new>' })).rejects.toMatchObject(rejects('prompt'));
    await expect(generate({ tokens: [3, vocabularySize] })).rejects.toMatchObject(rejects('prompt'));
    await expect(generate({ prompt: 'a <new>', maxTokens: 0, scorePrompt: 0 })).rejects.toMatchObject(
      rejects('prompt'),
    );
    await expect(generate({ prompt: 'a', logitBias: { 160: 5 } })).rejects.toMatchObject(
      rejects('logitBias', 'token 160 is not'),
    );
    await generate({ prompt: 'a', logitBias: { 159: 5 } });
  });
});

function completion(prompt: number[], ids: number[]): TokenizedExample {
  return { kind: 'completion', prompt, continuations: [{ ids, scored: 1 }], label: 0 };
}

describe('without a tokenizer in between', () => {
  const message = 'token 160 is not in the vocabulary of 160 (ids 0 to 159)';

  test('no pass takes the id', async () => {
    const loaded = await loadModel(gpu, model);
    const scorer = new Scorer(loaded, 64);
    try {
      await expect(sequenceLogits(loaded, [3, 160])).rejects.toThrow(message);
      await expect(embedSequences(loaded, [[3], [160]], 'last')).rejects.toThrow(message);
      for (const bad of [completion([160], [3]), completion([3], [160, 3]), completion([3], [160])]) {
        await expect(scorer.score([bad], loaded.plainProbes)).rejects.toThrow(message);
      }
    } finally {
      scorer.destroy();
      loaded.destroy();
    }
  });

  test('virtual tokens pass at their own positions only', () => {
    const { batch } = packSequences([[160, 161, 5, 6]]);
    const two = { adapter: { virtualTokens: 2 } } as never;
    expect(() => checkBatchIds(batch, { vocabularySize: 160 }, two)).not.toThrow();
    expect(() => checkBatchIds(batch, { vocabularySize: 160 }, {})).toThrow('token 160 is not');
    expect(() => checkBatchIds(packSequences([[160, 161, 161, 6]]).batch, { vocabularySize: 160 }, two)).toThrow(
      'token 161 is not',
    );
    expect(() => checkBatchIds(packSequences([[160, 161, 162, 6]]).batch, { vocabularySize: 160 }, two)).toThrow(
      'token 162 is not',
    );
    expect(() => checkTargetIds(packExamples([completion([1], [160])]).batch, 160)).toThrow('token 160 is not');
  });

  test('runs with virtual tokens train and embed', async () => {
    const configuration = { ...quick, scheme: 'prompt', virtualTokens: 3, steps: 1 } as const;
    expect(resolveConfiguration(configuration).scheme).toBe('prompt');
    await engine.createRun({ id: 'prompted', model, configuration });
    await engine.stepRun('prompted', [{ prompt: 'a', completion: 'bc' }]);
    expect((await engine.embed({ model: 'prompted', inputs: ['ab'], pooling: 'mean' })).vectors).toHaveLength(1);
    await expect(engine.embed({ model: 'prompted', inputs: [[160]], pooling: 'mean' })).rejects.toThrow('<new>');
    await engine.unloadModel('prompted');
  });
});
