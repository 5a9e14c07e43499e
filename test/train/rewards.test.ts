import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEngine } from '../../src/engine/client.ts';
import type { Engine, TrainEvent } from '../../src/engine/types.ts';
import type { GraderDescription } from '../../src/graders/index.ts';
import { join } from '../../src/platform/index.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { standardised } from '../../src/train/rewards.ts';
import {
  ofType,
  optionRows,
  recordsOf,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  trainUpTo,
  writeRows,
} from './tiny.ts';

let engine: Engine;
let model: string;
let file: string;

const prompts = ['say it', 'once more', 'tell me', 'and now', 'go on', 'what is'];

/** The share of letters, which nearly every answer has another one of. */
const letters: GraderDescription = {
  ...{ type: 'javascript', name: 'letters' },
  source:
    'function grade(sample) { const t = sample.output_text; return t.replace(/[^a-z]/g, "").length / (t.length + 1); }',
};

const share = (text: string): number => text.replace(/[^a-z]/g, '').length / (text.length + 1);

const settings: Partial<TrainConfiguration> = {
  ...{ steps: 3, batchSize: 6, sampling: 'shuffle', rank: 4, refresh: 2, seed: 5, learningRate: 1e-3, epsilon: 1e-2 },
  ...{ rewardTokens: 8, evaluateEvery: 0 },
};

beforeAll(async () => {
  engine = await openEngine();
  model = tinyModel();
  file = writeRows(prompts.map((prompt, id) => `${JSON.stringify({ prompt, id, wanted: 'x' })}\n`).join(''));
});

afterAll(async () => {
  await engine.close();
  removeTemporary();
});

const train = (
  own: Partial<TrainConfiguration> = {},
  { stopAfter, ...request }: { grader?: GraderDescription; validation?: { file: string }; stopAfter?: number } = {},
) => trainUpTo(engine, { model, file, grader: letters, ...request }, { ...settings, ...own }, stopAfter);

/** The mean reward of greedy answers, by requests one after the other. */
async function greedyReward(id: string): Promise<number> {
  let sum = 0;
  for (const prompt of prompts) {
    for await (const event of engine.generate({ model: id, prompt, maxTokens: 8, temperature: 0 })) {
      if (event.type === 'done') sum += share(event.text);
    }
  }
  return sum / prompts.length;
}

describe('the objective reward', () => {
  test('has minus the mean reward of the answers to a batch as its loss, and evaluates by it', async () => {
    await engine.loadModel({ id: 'base', path: model });
    const expected = await greedyReward('base');
    await engine.unloadModel('base');
    // A perturbation that changes no answer: what every point sees is the base's.
    const { events } = await train({ steps: 1, epsilon: 1e-8, learningRate: 1e-30 }, { validation: { file } });
    const [step] = ofType(events, 'step');
    expect(step!.loss).toBeCloseTo(-expected, 12);
    expect(step!.projectedGradient).toBe(0);
    expect(step!.accuracy).toBeNull();
    expect(step!.measures!.reward).toBeCloseTo(expected, 12);
    const evaluation = ofType(events, 'evaluation').at(-1)!;
    expect(evaluation.loss).toBeCloseTo(-expected, 12);
    expect(evaluation.measures!.reward).toBeCloseTo(expected, 12);
  });

  test('moves the weights by differences of rewards, and the run generates what its evaluation graded', async () => {
    const { run, events } = await train({ learningRate: 1e-2 }, { validation: { file } });
    expect(ofType(events, 'step').some(({ projectedGradient }) => projectedGradient !== 0)).toBe(true);
    await engine.loadModel({ id: 'tuned', path: run });
    const reward = await greedyReward('tuned');
    await engine.unloadModel('tuned');
    expect(ofType(events, 'evaluation').at(-1)!.measures!.reward).toBeCloseTo(reward, 12);
  });

  test('all points of a step draw the same numbers, so that equal models answer alike', async () => {
    const { events } = await train({ steps: 2, epsilon: 1e-8, learningRate: 1e-30, rewardTemperature: 1 });
    const steps = ofType(events, 'step');
    expect(steps.map(({ projectedGradient }) => projectedGradient)).toEqual([0, 0]);
    // Another step draws others.
    expect(steps[0]!.measures!.reward).not.toBe(steps[1]!.measures!.reward);
  });

  test('a run that is stopped while it generates goes on to the same bits', async () => {
    const whole = await train({ rewardTemperature: 0.8 });
    const part = await train({ rewardTemperature: 0.8 }, { stopAfter: 1 });
    expect(ofType(part.events, 'done').at(-1)!.outcome).toBe('stopped');
    for await (const _ of engine.train({ resume: part.run }));
    expect(await recordsOf(part.run)).toEqual(await recordsOf(whole.run));
  });

  test('a grader sees the row; one that fails counts as 0 and is told of once a step', async () => {
    const equal: GraderDescription = {
      ...{ type: 'string_check', name: 'same', operation: 'ne' },
      ...{ input: '{{item.wanted}}', reference: '{{item.id}}' },
    };
    const { events } = await train({ steps: 1 }, { grader: equal });
    expect(ofType(events, 'step')[0]!.measures!.reward).toBe(1);
    const source = 'function grade(sample, item) { if (item.id > 0) throw new Error("no opinion"); return 1; }';
    const failed = await train({ steps: 2 }, { grader: { ...letters, source } as GraderDescription });
    expect(ofType(failed.events, 'step').map(({ measures }) => measures!.reward)).toEqual([1 / 6, 1 / 6]);
    const warnings = ofType(failed.events, 'message').filter(({ level }) => level === 'warn');
    expect(warnings).toHaveLength(2);
    expect(warnings[0]!.message).toMatch(/^10 answers could not be graded \(taken as 0\); the first: .*no opinion/);
    const never = { ...letters, source: 'function grade() { throw new Error("no opinion"); }' } as GraderDescription;
    await expect(train({ steps: 2 }, { grader: never })).rejects.toThrow(
      /^none of the 12 answers of the first step could be graded; the first: .*no opinion/,
    );
  });

  test('with z-scores a step of two points is worth the same whatever the rewards', async () => {
    const { events } = await train({ steps: 1, rewardScaling: 'z-score' });
    const [step] = ofType(events, 'step');
    expect(Math.abs(step!.projectedGradient) * 2 * 1e-2).toBeCloseTo(2, 4);
    expect(standardised([1, 2, 3, 4]).map((value) => Number(value.toFixed(6)))).toEqual([
      -1.341641, -0.447214, 0.447214, 1.341641,
    ]);
    expect(standardised([0.5, 0.5])).toEqual([0, 0]);
  });

  test('rows can be held out to be evaluated on', async () => {
    const { events } = await train({ steps: 1, batchSize: 2, validationSplit: 0.5 });
    expect(ofType(events, 'evaluation').at(-1)).toMatchObject({ examples: 3 });
    expect(ofType(events, 'step')[0]!.measures!.reward).toBeGreaterThan(0);
  });

  test('refuses what has no meaning', async () => {
    const started = async (request: Partial<Parameters<Engine['train']>[0]>, own: Partial<TrainConfiguration> = {}) => {
      const all = {
        model,
        data: { file },
        configuration: { ...settings, ...own },
        out: join(temporaryFolder(), 'run'),
      };
      for await (const _ of engine.train({ ...all, ...request } as Parameters<Engine['train']>[0]));
    };
    await expect(started({}, { objective: 'reward' })).rejects.toThrow(/objective reward needs a grader/);
    await expect(started({ grader: letters }, { objective: 'dpo' })).rejects.toThrow(/objective dpo asks no grader/);
    await expect(started({ grader: letters }, { objective: 'reward', shards: 2 })).rejects.toThrow(/shards must be 1/);
    const find = engine.findLearningRate({
      model,
      data: { file },
      configuration: { objective: 'reward' },
      trialSteps: 2,
    });
    await expect(find[Symbol.asyncIterator]().next()).rejects.toThrow(/not searched for with objective reward/);
  });
});

describe('an anchor', () => {
  const anchored = { anchor: 3, learningRate: 2e-2, rewardTemperature: 0.8 } as const;

  test('adds the drift from the base on the tokens of the prompts', async () => {
    const { run, events } = await train(anchored, { validation: { file } });
    for (const { loss, measures } of [...ofType(events, 'step'), ...ofType(events, 'evaluation')]) {
      expect(measures!.drift).toBeGreaterThan(0);
      expect(loss).toBeCloseTo(3 * measures!.drift! - measures!.reward!, 10);
    }
    // The drift of the last evaluation by log-probabilities of the prompts, asked of both models.
    let [sum, count] = [0, 0];
    await engine.loadModel({ id: 'base', path: model });
    await engine.loadModel({ id: 'tuned', path: run });
    for (const prompt of prompts) {
      const [before, after] = [await promptLogprobs('base', prompt), await promptLogprobs('tuned', prompt)];
      for (const [index, logprob] of after.entries()) sum += (logprob - before[index]!) ** 2 / 2;
      count += after.length;
    }
    for (const id of ['base', 'tuned']) await engine.unloadModel(id);
    const { drift } = ofType(events, 'evaluation').at(-1)!.measures!;
    expect(Math.abs(drift! / (sum / count) - 1)).toBeLessThan(1e-3);
  });

  test('asks the base once: a run that is stopped goes on to the same bits', async () => {
    const whole = await train(anchored);
    const part = await train(anchored, { stopAfter: 1 });
    const messages: string[] = [];
    for await (const event of engine.train({ resume: part.run }))
      if (event.type === 'message') messages.push(event.message);
    expect(messages.join()).not.toMatch(/log-probabilities of the base/);
    expect(await recordsOf(part.run)).toEqual(await recordsOf(whole.run));
  });

  test('goes with virtual tokens, and with prompts of one token', async () => {
    const own = { scheme: 'prompt', virtualTokens: 2, learningRate: 1e-1, epsilon: 1e-1 } as const;
    const { events } = await train({ ...anchored, ...own });
    for (const { measures } of ofType(events, 'step')) expect(measures!.drift).toBeGreaterThan(0);
    const short = writeRows(['a', 'b'].map((prompt) => `${JSON.stringify({ prompt })}\n`).join(''));
    const lone = await train({ ...anchored, steps: 1 }, { validation: { file: short } });
    expect(ofType(lone.events, 'evaluation').at(-1)!.measures!.drift).toBeGreaterThanOrEqual(0);
  });
});

async function promptLogprobs(id: string, prompt: string): Promise<number[]> {
  const logprobs: number[] = [];
  for await (const event of engine.generate({ model: id, prompt, maxTokens: 0, scorePrompt: true })) {
    if (event.type === 'prompt') logprobs.push(...event.tokens.flatMap(({ logprob }) => logprob ?? []));
  }
  return logprobs;
}

test('a fork may have another grader, or one of its own; and leaves behind one that nothing asks', async () => {
  const { run } = await train();
  const forked = async (request: object, configuration: Partial<TrainConfiguration> = {}) => {
    const out = join(temporaryFolder(), 'fork');
    const events: TrainEvent[] = [];
    for await (const event of engine.train({ fork: run, step: 2, out, configuration, ...request })) events.push(event);
    return { out, last: ofType(events, 'step').at(-1)! };
  };
  const constant = { ...letters, source: 'function grade() { return 7; }' } as GraderDescription;
  expect((await forked({ grader: constant })).last.measures!.reward).toBe(7);
  const supervised = await forked({ data: { file: writeRows(optionRows()) } }, { objective: 'auto' });
  expect(supervised.last.measures).toBeUndefined();
  const again = await forked(
    { fork: supervised.out, step: 2, data: { file }, grader: letters },
    { objective: 'reward' },
  );
  expect(again.last.measures!.reward).toBeLessThan(1);
});

test('early stopping names the highest reward, where the loss is minus the reward', async () => {
  const constant = { ...letters, source: 'function grade() { return 7; }' } as GraderDescription;
  const early = { steps: 9, evaluateEvery: 1, earlyStopping: 2 };
  const { events } = await train(early, { grader: constant, validation: { file } });
  expect(ofType(events, 'done').at(-1)!.reason).toMatch(
    /^early stopping: no higher reward in the last 2 evaluations; the highest was 7\.0000 at step 1$/,
  );
});

test('the objective accuracy has the share of wrong options as its loss', async () => {
  const rows = writeRows(optionRows());
  const run = join(temporaryFolder(), 'run');
  const events: TrainEvent[] = [];
  const configuration = { ...settings, steps: 4, objective: 'accuracy', batchSize: 8 } as const;
  for await (const event of engine.train({ model, data: { file: rows }, configuration, out: run })) events.push(event);
  const steps = ofType(events, 'step');
  for (const { loss, accuracy } of steps) expect(loss).toBeCloseTo(1 - accuracy!, 12);
  // Eight examples under each point: losses are multiples of a sixteenth.
  for (const { loss } of steps) expect(loss * 16).toBeCloseTo(Math.round(loss * 16), 9);
});
