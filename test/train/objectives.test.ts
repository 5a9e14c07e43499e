import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sharing } from '../../src/cluster/coordinator.ts';
import type { TokenizedExample } from '../../src/data/example.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import type { TrainEvent, TrainRequest } from '../../src/engine/types.ts';
import { resolveConfiguration, type TrainConfiguration } from '../../src/settings/configuration.ts';
import { samplerOf } from '../../src/train/examples.ts';
import { openJournal } from '../../src/zo/journal.ts';
import { collect, ofType, optionRows, quick, removeTemporary, temporaryFolder, tinyModel, writeRows } from './tiny.ts';

let engine: LocalEngine;
let model: string;
let file: string;
let options: string;

beforeAll(async () => {
  engine = await LocalEngine.open();
  model = tinyModel();
  file = writeRows(preferenceRows());
  options = writeRows(optionRows());
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

function preferenceRows(count = 24): string {
  return Array.from({ length: count }, (_, index) => {
    return `${JSON.stringify({ prompt: `film ${index}, it was`, chosen: `great ${index % 5}`, rejected: 'bad' })}\n`;
  }).join('');
}

const settings = { ...quick, learningRate: 1e-4, dpoBeta: 1 };

async function train(
  configuration: Partial<TrainConfiguration> = {},
  request: Partial<Extract<TrainRequest, { model: string }>> = {},
  stopAfter = Number.POSITIVE_INFINITY,
): Promise<{ run: string; events: TrainEvent[] }> {
  const run = join(temporaryFolder(), 'run');
  const abort = new AbortController();
  const events: TrainEvent[] = [];
  const all = { model, data: { file }, configuration: { ...settings, ...configuration }, out: run, ...request };
  for await (const event of engine.train(all, abort.signal)) {
    events.push(event);
    if (event.type === 'step' && event.step === stopAfter) abort.abort();
  }
  return { run, events };
}

const recordsOf = async (run: string) => (await openJournal(join(run, 'journal.subzero'))).records;
const baseOf = (run: string) => join(run, 'base-scores.jsonl');
const asked = (events: readonly TrainEvent[]) =>
  ofType(events, 'message').flatMap(({ message }) => /^log-prob.* (\d+) examples$/.exec(message)?.[1] ?? []);

describe('a run on preferences', () => {
  test('is DPO where nothing else is asked for, and says so; margins in every step and evaluation', async () => {
    const { run, events } = await train({ evaluateEvery: 6 }, { validation: { file } });
    const { header } = await openJournal(join(run, 'journal.subzero'));
    expect(header.configuration).toMatchObject({ objective: 'dpo', dpoBeta: 1, anchor: 0 });
    expect(ofType(events, 'start')[0]!.data).toMatchObject({ format: 'preference', examples: 24 });
    expect(ofType(events, 'start')[0]!.data.first).toContain('it was⟦ great 0⟧ | bad');
    const [first] = ofType(events, 'step');
    // As far from the base as ε carries it.
    expect(Math.abs(first!.loss - Math.LN2)).toBeLessThan(0.05);
    for (const { measures, accuracy } of [...ofType(events, 'step'), ...ofType(events, 'evaluation')]) {
      expect(Object.keys(measures!)).toEqual(['rewardMargin', 'drift']);
      expect(accuracy).toBeGreaterThanOrEqual(0);
    }
    expect(asked(events)).toEqual(['24']);
    const again = await train({ objective: 'dpo', evaluateEvery: 6 });
    expect(await recordsOf(again.run)).toEqual(await recordsOf(run));
  });

  // Refresh is 5, so the weights have been folded by then; MeZO writes them at every step.
  test.each([
    ['SubZero', {}],
    ['MeZO', { optimizer: 'mezo' }],
    ['virtual tokens', { scheme: 'prompt', virtualTokens: 3, learningRate: 1e-3 }],
  ] as const)('%s: goes on where it was stopped, and asks the base nothing', async (_, configuration) => {
    const whole = await train(configuration);
    const { run } = await train(configuration, {}, 7);
    const events = await collect(engine.train({ resume: run }));
    expect(asked(events)).toEqual([]);
    expect(await recordsOf(run)).toEqual(await recordsOf(whole.run));
  });

  test('whose answers of the base are gone asks once more, a base that is loaded for it', async () => {
    const whole = await train({ objective: 'ipo' });
    const { run } = await train({ objective: 'ipo' }, {}, 7);
    for (const lose of [
      () => rmSync(baseOf(run)),
      () => writeFileSync(baseOf(run), '{"fingerprint": "other"}\n{}\n'),
    ]) {
      lose();
      const abort = new AbortController();
      const events: TrainEvent[] = [];
      for await (const event of engine.train({ resume: run }, abort.signal)) {
        events.push(event);
        if (event.type === 'step') abort.abort();
      }
      expect(Number(asked(events)[0])).toBeGreaterThan(0);
    }
    await collect(engine.train({ resume: run }));
    expect(await recordsOf(run)).toEqual(await recordsOf(whole.run));
  });

  test('with more steps than it was to have asks about what they draw', async () => {
    const few = { steps: 6, batchSize: 1 };
    const { run, events } = await train(few);
    const whole = await train({ ...few, steps: 12 });
    const more = await collect(engine.train({ resume: run, steps: 12 }));
    expect(Number(asked(events)[0]) + Number(asked(more)[0])).toBe(Number(asked(whole.events)[0]));
    expect(await recordsOf(run)).toEqual(await recordsOf(whole.run));
  });

  test('ORPO asks nothing', async () => {
    const { run, events } = await train({ objective: 'orpo' });
    expect(asked(events)).toEqual([]);
    expect(existsSync(baseOf(run))).toBe(false);
    expect(Object.keys(ofType(events, 'step')[0]!.measures!)).toEqual(['rewardMargin']);
  });

  test('a fork may have another objective, and takes over what the base said', async () => {
    const { run } = await train();
    const out = join(temporaryFolder(), 'fork');
    const configuration = { objective: 'ipo', anchor: 0.5 } as const;
    const events = await collect(engine.train({ fork: run, step: 6, configuration, out }));
    expect(asked(events)).toEqual([]);
    expect(readFileSync(baseOf(out))).toEqual(readFileSync(baseOf(run)));
    expect((await recordsOf(out)).slice(0, 6)).toEqual((await recordsOf(run)).slice(0, 6));
    expect(ofType(events, 'step')[0]!.loss).not.toBe((await recordsOf(run))[6]!.loss);
  });

  test('shards make no difference but in the last bits', async () => {
    const [one, three] = [await train({ batchSize: 6 }), await train({ batchSize: 6, shards: 3 })];
    const [first, cut] = [one, three].map(({ events }) => ofType(events, 'step')[0]!);
    expect(cut!.loss).toBeCloseTo(first!.loss, 5);
    expect(cut!.measures!.rewardMargin).toBeCloseTo(first!.measures!.rewardMargin!, 5);
  });

  test('a learning rate is looked for', async () => {
    const search = engine.findLearningRate({
      ...{ model, data: { file }, configuration: settings },
      ...{ trialSteps: 3, learningRates: [1e-7, 1e-4] },
    });
    const events = [];
    for await (const event of search) events.push(event);
    expect(events.map(({ type }) => type)).toEqual(['start', 'trial', 'trial', 'suggestion']);
    expect(events[0]).toMatchObject({ loss: Math.LN2 });
    // A loss that has hardly moved from ln 2 is no sign of damage.
    expect(events[1]).toMatchObject({ diverged: false, stuck: null });
  });
});

describe('a run that is made step by step', () => {
  test.each([
    ['DPO by the data', {}],
    ['ORPO with an anchor', { objective: 'orpo', anchor: 0.5 }],
  ] as const)('%s: the numbers are those of a job', async (name, configuration) => {
    // One period, in which the weights stay those of the base.
    const all = { ...settings, ...configuration, refresh: 100, steps: 4 };
    const { run, events } = await train(all);
    const sampler = samplerOf(resolveConfiguration(all), Array<TokenizedExample>(24));
    const rows = preferenceRows()
      .trim()
      .split('\n')
      .map((row) => JSON.parse(row) as Record<string, unknown>);
    const { batchSize: _, ...own } = all;
    await engine.createRun({ id: name, model, configuration: { ...own, steps: 5 } });
    for (const [step, { measures, loss }] of ofType(events, 'step').entries()) {
      const data = sampler.batch(step).map((row) => rows[row]!);
      const { probe, record } = await engine.stepRun(name, data, {});
      expect(probe.loss).toBe(loss);
      expect(probe.measures).toEqual(measures);
      expect(record.projectedGradients).toEqual((await recordsOf(run))[step]!.projectedGradients);
    }
    expect(Object.keys((await engine.forwardRun(name, rows)).measures!)).toEqual(['rewardMargin', 'drift']);
    // Data of another kind may be looked at, and not learnt.
    const completion = [{ prompt: 'a', completion: 'b' }];
    expect((await engine.forwardRun(name, completion)).accuracy).toBeNull();
    if ('objective' in configuration) {
      await expect(engine.probeRun(name, completion)).rejects.toThrow('learns from examples of kind preference');
    }
    await engine.unloadModel(name);
  });

  test('is refused once it has written the weights of the base', async () => {
    const rows = [{ prompt: 'a', chosen: 'b', rejected: 'c' }];
    for (const [id, configuration, steps] of [
      ['mezo', { optimizer: 'mezo' }, 1],
      ['folded', { refresh: 2 }, 2],
    ] as const) {
      await engine.createRun({ id, model, configuration: { ...configuration, steps: 9 } });
      for (let step = 0; step < steps; step++) await engine.stepRun(id, rows, {});
      await expect(engine.stepRun(id, rows, {})).rejects.toThrow('compares with the base, whose weights this run has');
      await engine.unloadModel(id);
    }
  });
});

describe('the anchor', () => {
  test('measures drift on any data; without it the run is as ever', async () => {
    const plain = await train({}, { data: { file: options } });
    expect(ofType(plain.events, 'step').some(({ measures }) => measures)).toBe(false);
    const held = await train(
      { anchor: 10, evaluateEvery: 6 },
      { data: { file: options }, validation: { file: options } },
    );
    const steps = ofType(held.events, 'step');
    expect(steps.every(({ measures }) => measures!.drift! > 0)).toBe(true);
    expect(ofType(held.events, 'evaluation').every(({ measures }) => measures!.drift! > 0)).toBe(true);
    expect(steps[0]!.loss).toBeCloseTo(ofType(plain.events, 'step')[0]!.loss + 10 * steps[0]!.measures!.drift!, 9);
    expect(await recordsOf(held.run)).not.toEqual(await recordsOf(plain.run));
  });

  test('holds the model near its base', async () => {
    const driftWith = async (anchor: number): Promise<number> => {
      const configuration = { anchor, steps: 40, learningRate: 1e-4 };
      const { events } = await train(configuration, { validation: { file } });
      return ofType(events, 'evaluation').at(-1)!.measures!.drift!;
    };
    expect(await driftWith(10)).toBeLessThan(0.6 * (await driftWith(0)));
  });
});

describe('refused by name', () => {
  test('data of another kind', async () => {
    await expect(train({ objective: 'dpo' }, { data: { file: options } })).rejects.toThrow(
      'objective dpo learns from examples of kind preference; the training data hold one of kind options',
    );
  });

  test('equal answers, with the row', async () => {
    const same = writeRows(`${preferenceRows(2)}${JSON.stringify({ prompt: 'a', chosen: 'b', rejected: 'b' })}\n`);
    await expect(train({}, { data: { file: same } })).rejects.toThrow(`${same}:3: the chosen and the rejected answer`);
  });

  test('a cluster, whose workers do not know what the base says', async () => {
    const share = sharing({ url: 'nats://127.0.0.1:1' });
    for (const [configuration, named] of [
      [{ objective: 'dpo', anchor: 0 }, 'objective dpo'],
      [{ objective: 'auto', anchor: 1 }, 'anchor 1'],
    ] as const) {
      const run = { configuration } as Parameters<typeof share.open>[0];
      await expect(share.open(run)).rejects.toThrow(`${named} needs what the base says of the examples`);
    }
  });
});
