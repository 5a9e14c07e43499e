import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bestTokenF1 } from '../../src/data/answer-score.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import { SubzeroError } from '../../src/errors.ts';
import {
  collect,
  completionRows,
  ofType,
  optionRows,
  quick,
  recordsOf,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  writeRows,
} from './tiny.ts';

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
    expect(result).toMatchObject({ accuracy: null, f1: null, exactMatch: null });
    // " yes, 0." has eight characters, a token each.
    expect(result).toMatchObject({ examples: 10, tokens: 80 });
    expect(result.loss).toBeGreaterThan(Math.log(160) - 1.5);
    expect(result.loss).toBeLessThan(Math.log(160) + 1.5);
  });

  describe('of a task that is scored by F1', () => {
    const document = (contexts: string[], answers: string[]) =>
      JSON.stringify({
        data: [
          {
            title: 'T',
            paragraphs: contexts.map((context, index) => ({
              context,
              qas: [{ id: `q${index}`, question: 'What?', answers: answers.map((text) => ({ text })) }],
            })),
          },
        ],
      });
    const squad = (contexts: string[], answers: string[]) => {
      const directory = writeRows(document(contexts, answers), temporaryFolder(), 'dev.json');
      return { task: 'squad', directory };
    };
    const path = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
    const contexts = ['a warm , funny film .', 'flat and joyless , it was too long . '.repeat(40)];
    const promptOf = (context: string) => `Title: T\nContext: ${context}\nQuestion: What?\nAnswer:`;
    /** The context has 256 tokens, of which 50 are left to the answer. */
    const mostPrompt = 256 - 50;

    const answerTo = async (context: string): Promise<string> => {
      const lead = await engine.tokenize('reviews', '');
      const ids = await engine.tokenize('reviews', promptOf(context));
      const tokens = ids.length > mostPrompt ? [...lead, ...ids.slice(lead.length + ids.length - mostPrompt)] : ids;
      let text = '';
      const request = { model: 'reviews', tokens, temperature: 0, maxTokens: 50, stop: ['\n'] };
      for await (const event of engine.generate(request)) if (event.type === 'done') ({ text } = event);
      return text.trim();
    };

    beforeAll(() => engine.loadModel({ id: 'reviews', path }));
    afterAll(() => engine.unloadModel('reviews'));

    test('answers are generated and compared with all references', async () => {
      const answers = await Promise.all(contexts.map(answerTo));
      expect(answers.every((answer) => answer.length > 0)).toBe(true);
      expect(answers[0]).not.toBe(answers[1]);
      const right = await engine.evaluate({ model: 'reviews', data: squad(contexts, ['nothing', ...answers]) });
      expect(right).toMatchObject({ examples: 2, accuracy: null, f1: 1, exactMatch: 1, truncated: 1 });
      const half = await engine.evaluate({ model: 'reviews', data: squad(contexts, [answers[1]!]) });
      expect(half).toMatchObject({ exactMatch: 0.5, f1: (bestTokenF1(answers[0]!, [answers[1]!]) + 1) / 2 });
      const wrong = await engine.evaluate({ model: 'reviews', data: squad(contexts, ['no such answer']) });
      expect(wrong).toMatchObject({ f1: 0, exactMatch: 0 });
    });

    test('a run tells them at its evaluations, of the model as it then is', async () => {
      const data = squad(contexts, await Promise.all(contexts.map(answerTo)));
      const run = join(temporaryFolder(), 'run');
      const configuration = { ...quick, steps: 2, evaluateEvery: 1, learningRate: 1e-4 };
      const request = { model: path, data: { file: writeRows(completionRows()) }, validation: data, out: run };
      const told = ofType(await collect(engine.train({ ...request, configuration })), 'evaluation');
      expect(told.map(({ step }) => step)).toEqual([1, 2]);
      for (const { step, loss, f1, exactMatch } of told) {
        await engine.loadModel({ id: `at ${step}`, path: run, step });
        const evaluated = await engine.evaluate({ model: `at ${step}`, data });
        expect({ loss, f1, exactMatch }).toEqual({
          loss: evaluated.loss,
          f1: evaluated.f1,
          exactMatch: evaluated.exactMatch,
        });
        await engine.unloadModel(`at ${step}`);
      }
      // What is generated between steps changes none of them.
      const { validation: _, ...alone } = { ...request, out: join(temporaryFolder(), 'run'), configuration };
      await collect(engine.train(alone));
      expect(await recordsOf(run)).toEqual(await recordsOf(alone.out));
    });
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

describe('outcomes', () => {
  test('add up to the result, whatever order answers come in', async () => {
    const file = writeRows(completionRows(150));
    const request = { model: 'tiny', data: { file }, generate: { maxTokens: 6 } } as const;
    const { outcomes, ...result } = await engine.evaluate({ ...request, outcomes: 'texts' });
    expect(outcomes).toHaveLength(150);
    const sum = (of: (outcome: NonNullable<typeof outcomes>[number]) => number): number =>
      outcomes!.reduce((total, outcome) => total + of(outcome), 0);
    expect(sum(({ loss }) => loss) / sum(({ weight }) => weight)).toBeCloseTo(result.loss, 12);
    expect(sum(({ weight }) => weight)).toBe(result.tokens);
    expect(sum(({ answer, references }) => bestTokenF1(answer!, references!)) / 150).toBeCloseTo(result.f1!, 12);
    expect(outcomes![7]).toMatchObject({
      source: `${file}:8`,
      prompt: 'say slow 7:',
      references: ['yes, 0.'],
      item: { prompt: 'say slow 7:', completion: ' yes, 0.' },
    });
    // Alone, an answer is what it is among others.
    const alone = writeRows(completionRows(8).trim().split('\n')[7]!);
    const single = await engine.evaluate({ ...request, data: { file: alone }, outcomes: 'scores' });
    expect(single.outcomes![0]!.answer).toBe(outcomes![7]!.answer);
    expect(single.outcomes![0]).not.toHaveProperty('prompt');
    // Without being asked for, nothing is generated of such rows.
    expect(await engine.evaluate({ model: 'tiny', data: { file: alone } })).toMatchObject({ f1: null });
  });

  test('of options say what was chosen', async () => {
    const { outcomes, accuracy } = await engine.evaluate({
      ...{ model: 'tiny', data: { file: writeRows(optionRows(12)) }, outcomes: 'texts' },
    });
    const right = outcomes!.filter(({ chosen, correct }) => correct!.includes(chosen!));
    expect(right.length / 12).toBe(accuracy);
    expect(outcomes![1]).toMatchObject({ options: [' bad', ' great'], correct: [1], references: ['great'], weight: 1 });
    expect(outcomes!.every(({ chosen, answer }) => answer === ['bad', 'great'][chosen!])).toBe(true);
  });
});
