import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { namedAdapters, namedModels } from '../../src/cli/commands/serve.ts';
import { trainCommand } from '../../src/cli/commands/train.ts';
import { camelCase } from '../../src/cli/option.ts';
import { runProgram } from '../../src/cli/program.ts';
import type {
  Engine,
  EvaluateRequest,
  GenerateRequest,
  LoadModelRequest,
  TrainEvent,
  TrainRequest,
} from '../../src/engine/types.ts';
import { defaultConfiguration, resolveConfiguration } from '../../src/settings/configuration.ts';
import { type FakeHost, fakeHost, streamOf } from './fake-host.ts';

/** An engine that notes what is asked of it. */
function recordingEngine(more: Partial<Engine> = {}) {
  const calls: { name: string; request: unknown }[] = [];
  const engine: Partial<Engine> = {
    async loadModel(request: LoadModelRequest) {
      calls.push({ name: 'loadModel', request });
      return modelInfo(request.id, typeof request.step === 'number' ? request.step : undefined);
    },
    async unloadModel() {},
    async close() {
      calls.push({ name: 'close', request: undefined });
    },
    ...more,
  };
  return { engine, calls };
}

function modelInfo(id: string, step?: number, kind: 'base' | 'run' = 'run') {
  return {
    id,
    path: id,
    architecture: 'llama',
    parameterCount: 1,
    vocabularySize: 1,
    contextLength: 1,
    kind,
    ...(step === undefined ? {} : { step }),
    createdAt: 0,
    weightBytes: 1,
    sharesWeightsWith: [],
  };
}

const stepEvent = (step: number): TrainEvent => ({
  type: 'step',
  step,
  steps: 2,
  loss: 0.71234,
  accuracy: 0.5,
  projectedGradient: -12.34,
  learningRate: 1e-6,
  tokensPerSecond: 8530,
  elapsedSeconds: 1,
  etaSeconds: 72,
  trainedTokens: 100,
});
const trainEvents: TrainEvent[] = [
  {
    type: 'start',
    run: 'runs/a',
    step: 0,
    steps: 2,
    examples: 1000,
    plan: {
      ...{ weightBytes: 6 * 1024 ** 2, factorBytes: 1024, activationBytes: 100, scratchBytes: 50 },
      ...{ totalBytes: 6 * 1024 ** 2 + 1174, rows: 16 },
    },
    data: {
      ...{ format: 'completion', rows: 1000, examples: 1000, truncated: 3, dropped: 0, split: 0 },
      ...{ tokens: { minimum: 3, median: 5, p95: 9, maximum: 12 }, first: 'It was⟦ good⟧' },
    },
  },
  {
    ...{ type: 'evaluation', step: 0, examples: 872, loss: 0.7, accuracy: 0.669, f1: null, exactMatch: null },
    ...{ tokens: 1, seconds: 3 },
  },
  stepEvent(1),
  stepEvent(2),
  {
    ...{ type: 'done', run: 'runs/a', step: 2, outcome: 'finished', trainedTokens: 200, seconds: 61 },
    ...{ reason: null, best: { step: 1, loss: 0.61234 } },
  },
];

describe('train', () => {
  function trainingEngine(events = trainEvents) {
    const requests: TrainRequest[] = [];
    const recording = recordingEngine({
      train(request) {
        requests.push(request);
        return streamOf(events);
      },
    });
    return { ...recording, requests };
  }

  it('hands over what was given and leaves defaults to the configuration', async () => {
    const { engine, calls, requests } = trainingEngine();
    const host = fakeHost({ engine, environment: { SUBZERO_RANK: '8' } });
    const words = 'train --model m --task sst2 --data d --out runs/a --steps 2 --no-norm-alignment --storage f16'.split(
      ' ',
    );
    expect(await runProgram([...words, '--adapter', '1'], host)).toBe(0);
    expect(host.opened).toEqual([{ adapter: 1 }]);
    expect(calls.map((call) => call.name)).toEqual(['close']);
    expect(requests).toEqual([
      {
        model: 'm',
        data: { task: 'sst2', directory: 'd' },
        configuration: { steps: 2, rank: 8, normAlignment: false, storage: 'f16' },
        out: 'runs/a',
      },
    ]);
  });

  it('names the highest reward where the loss is minus the reward, and the loss where an anchor is in it', async () => {
    const rewarded = (loss: number) =>
      recordingEngine({
        train: () =>
          streamOf(
            trainEvents.map((event) => {
              if (event.type === 'evaluation') return { ...event, loss, measures: { reward: 0.75 } };
              return event.type === 'done' ? { ...event, best: { step: 1, loss } } : event;
            }),
          ),
      }).engine;
    const words = ['train', '--model', 'm', '--data', 'x.jsonl', '--out', 'runs/a'];
    const hosts = [fakeHost({ engine: rewarded(-0.75) }), fakeHost({ engine: rewarded(-0.5) })];
    for (const host of hosts) await runProgram(words, host);
    expect(hosts[0]!.out.text).toContain('; highest reward 0.7500 at step 1 (--step best)');
    expect(hosts[1]!.out.text).toContain('; lowest validation loss -0.5000 at step 1 (--step best)');
  });

  it('shows progress on standard error and the outcome on standard output', async () => {
    const host = fakeHost({ engine: trainingEngine().engine });
    await runProgram(['train', '--model', 'm', '--data', 'x.jsonl', '--out', 'runs/a'], host);
    expect(host.out.text).toBe(
      'finished at step 2, 200 tokens in 1:01; lowest validation loss 0.6123 at step 1 (--step best); run: runs/a\n',
    );
    expect(host.error.text).toContain('training to step 2 on 1,000 examples; GPU memory: 6.0 MiB (weights 6.0 MiB');
    expect(host.error.text).toContain('step 0: validation accuracy 0.6690, loss 0.7000 (872 examples, 3.0 s)');
    expect(host.error.text).toContain('step 2/2  loss 0.7123  ρ -12.3  validation 0.669  8,530 tokens/s  ETA 1:12');
  });

  it('leaves the line of the reading above what comes after it', async () => {
    const reading = { type: 'reading', rows: 9, readBytes: 10, totalBytes: 10, etaSeconds: 0 } as const;
    const host = fakeHost({ engine: trainingEngine([reading, ...trainEvents]).engine, live: true });
    await runProgram(['train', '--model', 'm', '--data', 'x.jsonl', '--out', 'runs/a'], host);
    expect(host.error.text).toMatch(/^\rreading data: 9 rows, .*\ntraining to step 2 on/);
    expect(host.error.text.match(/reading data/g)).toHaveLength(1);
  });

  it('prints events as JSON lines, or nothing but the outcome', async () => {
    const json = fakeHost({ engine: trainingEngine().engine });
    await runProgram(['train', '--model', 'm', '--data', 'x.jsonl', '--out', 'o', '--json'], json);
    expect(
      json.out.text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(trainEvents);
    expect(json.error.text).toBe('');
    const quiet = fakeHost({ engine: trainingEngine().engine });
    await runProgram(['train', '--model', 'm', '--data', 'x.jsonl', '--out', 'o', '--quiet'], quiet);
    expect(quiet.error.text).toBe('');
    expect(quiet.out.text).toMatch(/^finished/);
  });

  it('takes epochs instead of steps', async () => {
    const { engine, requests } = trainingEngine();
    const words = [
      'train',
      '--model',
      'm',
      '--data',
      'x.jsonl',
      '--out',
      'r',
      '--epochs',
      '2.5',
      '--sampling',
      'shuffle',
    ];
    expect(await runProgram(words, fakeHost({ engine }))).toBe(0);
    expect(requests).toEqual([
      { model: 'm', data: { file: 'x.jsonl' }, out: 'r', epochs: 2.5, configuration: { sampling: 'shuffle' } },
    ]);
    const host = fakeHost({ engine });
    expect(await runProgram([...words, '--steps', '3'], host)).toBe(2);
    expect(host.error.text).toContain('--epochs and --steps');
    expect(await runProgram(['train', '--resume', 'r', '--epochs', '2'], host)).toBe(2);
  });

  it('warns of settings that have no effect', async () => {
    const words = ['train', '--model', 'm', '--data', 'x.jsonl', '--out', 'r'];
    const warnings = async (...more: string[]) => {
      const host = fakeHost({ engine: trainingEngine().engine });
      expect(await runProgram([...words, '--quiet', ...more], host)).toBe(0);
      return host.error.text;
    };
    expect(await warnings('--rank', '4', '--refresh', '9', '--batch-size', '2')).toBe('');
    expect(await warnings('--scheme', 'lora', '--lora-rank', '4')).toBe('');
    expect(await warnings('--optimizer', 'mezo', '--mezo-update', 'momentum', '--adam-beta1', '0.8')).toBe('');
    expect(await warnings('--lora-rank', '4')).toMatch(
      /^warning: --lora-rank has no effect without --scheme lora[^\n]*\n$/,
    );
    const momentum = await warnings('--optimizer', 'mezo', '--mezo-update', 'momentum', '--adam-beta2', '0.9');
    expect(momentum).toContain('--adam-beta2 has no effect without --optimizer subzero-plus, or mezo with');
    expect(await warnings('--optimizer', 'mezo', '--rank', '4')).toContain('--rank has no effect without --optimizer');
    expect(await warnings('--warmup-steps', '10', '--steps', '10')).toContain('--warmup-steps 10 of --steps 10');
    const snapshots = 'warning: --snapshot-every has no effect without --cluster\n';
    expect(await warnings('--snapshot-every', '5')).toBe(snapshots);
    expect(await warnings('--snapshot-every', '5', '--cluster', 'nats://localhost')).toBe('');
    const resumed = fakeHost({ engine: trainingEngine().engine });
    await runProgram(['train', '--resume', 'r', '--quiet', '--snapshot-every', '5'], resumed);
    expect(resumed.error.text).toBe(snapshots);
  });

  it('resumes with a new number of steps or another budget only if one was given', async () => {
    const { engine, requests } = trainingEngine();
    await runProgram(['train', '--resume', 'r'], fakeHost({ engine }));
    await runProgram(['train', '--resume', 'r', '--steps', '50'], fakeHost({ engine }));
    await runProgram(['train', '--resume', 'r', '--memory', '1GiB'], fakeHost({ engine }));
    expect(requests).toEqual([{ resume: 'r' }, { resume: 'r', steps: 50 }, { resume: 'r', memory: 2 ** 30 }]);
  });

  it('stops at the first Ctrl-C with everything saved, and at the second at once', async () => {
    let host: FakeHost | undefined;
    const { engine, calls } = recordingEngine({
      async *train(_request, signal) {
        yield stepEvent(1);
        host!.interrupt();
        expect(signal?.aborted).toBe(true);
        host!.time += 100; // the same key press, passed on by a parent process
        host!.interrupt();
        expect(host!.deaths).toEqual([]);
        host!.time += 1000;
        host!.interrupt();
        const done = { type: 'done', run: 'r', step: 1, outcome: 'stopped', trainedTokens: 1, seconds: 1 } as const;
        yield { ...done, reason: null, best: null };
      },
    });
    host = fakeHost({ engine });
    expect(await runProgram(['train', '--model', 'm', '--data', 'x.jsonl', '--out', 'r'], host)).toBe(130);
    expect(host.deaths).toEqual(['SIGINT']);
    expect(host.error.text).toContain('stopping after this step');
    expect(host.out.text).toContain('To go on: subzero train --resume r');
    expect(calls.at(-1)?.name).toBe('close');
  });

  it('closes the engine when the run fails', async () => {
    const { engine, calls } = recordingEngine({
      // biome-ignore lint/correctness/useYield: the stream fails before its first event.
      async *train() {
        throw new Error('broken');
      },
    });
    const host = fakeHost({ engine });
    expect(await runProgram(['train', '--model', 'm', '--data', 'x.jsonl', '--out', 'r'], host)).toBe(1);
    expect(calls.at(-1)?.name).toBe('close');
  });

  it('has an option for every training setting, with the default of the configuration', () => {
    const byKey = new Map(trainCommand.options.map((option) => [camelCase(option.name), option]));
    for (const [key, value] of Object.entries(defaultConfiguration)) {
      const option = byKey.get(key);
      expect(option, key).toBeDefined();
      // A list is empty where it is not given.
      const standard = option?.type === 'list' ? [] : option && 'default' in option ? option.default : undefined;
      expect(standard, key).toEqual(value);
      if (option && 'choices' in option && option.choices) {
        for (const choice of option.choices)
          expect(resolveConfiguration({ [key]: choice })).toMatchObject({ [key]: choice });
      }
    }
  });
});

describe('data sets of the hub', () => {
  it.each([
    [['--data', 'org/films'], ['dataset org/films'], { file: 'org/films' }],
    [['--data', 'org/films@v2:dev.csv'], ['dataset org/films@v2'], { file: 'org/films/dev.csv' }],
    [['--data', 'org/films', '--task', 'sst2'], ['dataset org/films'], { task: 'sst2', directory: 'org/films' }],
    // Names of files that are not there, and files that are.
    [['--data', 'data/films.jsonl'], [], { file: 'data/films.jsonl' }],
    [['--data', 'examples/sst2'], [], { file: 'examples/sst2' }],
  ])('%j', async (given, pulled, data) => {
    const requests: TrainRequest[] = [];
    const { engine } = recordingEngine({
      train(request) {
        requests.push(request);
        return streamOf(trainEvents);
      },
    });
    const host = fakeHost({ engine });
    await runProgram(['train', '--model', 'examples/reviews-3m', ...given, '--out', 'r'], host);
    expect(host.pulled).toEqual(pulled);
    expect(requests).toMatchObject([{ data }]);
  });
});

describe('fork', () => {
  it('hands over the changes and nothing else', async () => {
    const requests: TrainRequest[] = [];
    const { engine } = recordingEngine({
      train(request) {
        requests.push(request);
        return streamOf(trainEvents);
      },
    });
    const words = ['fork', '--run', 'r', '--step', 'best', '--out', 'n', '--learning-rate', '1e-7', '--steps', '9'];
    expect(await runProgram(words, fakeHost({ engine }))).toBe(0);
    expect(await runProgram(['fork', '--run', 'r', '--out', 'n', '--data', 'x.jsonl'], fakeHost({ engine }))).toBe(0);
    expect(requests).toEqual([
      { fork: 'r', step: 'best', out: 'n', configuration: { learningRate: 1e-7, steps: 9 } },
      { fork: 'r', out: 'n', configuration: {}, data: { file: 'x.jsonl' } },
    ]);
    const columns = ['fork', '--run', 'r', '--out', 'n', '--data', 'x.csv', '--columns', 'prompt=q,completion=a'];
    expect(await runProgram(columns, fakeHost({ engine }))).toBe(0);
    expect(requests.at(-1)).toMatchObject({ configuration: { columns: ['prompt=q,completion=a'] } });
    const task = join(mkdtempSync(join(tmpdir(), 'subzero-fork-')), 'task.json');
    writeFileSync(task, JSON.stringify({ template: '{q}', completion: '{a}' }));
    const described = ['fork', '--run', 'r', '--out', 'n', '--data', 'd', '--task-file', task];
    expect(await runProgram(described, fakeHost({ engine }))).toBe(0);
    expect(requests.at(-1)).toMatchObject({ data: { task: { template: '{q}', completion: '{a}' }, directory: 'd' } });
    const grader = join(mkdtempSync(join(tmpdir(), 'subzero-fork-')), 'grader.json');
    const check = {
      type: 'string_check',
      name: 'same',
      operation: 'eq',
      reference: 'a',
      input: '{{sample.output_text}}',
    };
    writeFileSync(grader, JSON.stringify(check));
    const graded = ['fork', '--run', 'r', '--out', 'n', '--grader', grader];
    expect(await runProgram(graded, fakeHost({ engine }))).toBe(0);
    expect(requests.at(-1)).toMatchObject({ grader: check, configuration: { objective: 'reward' } });
    const host = fakeHost({ engine });
    expect(await runProgram(['fork', '--run', 'r', '--out', 'n', '--rank', '9'], host)).toBe(2);
    expect(host.error.text).toContain('--rank cannot change in a fork');
  });
});

describe('diff', () => {
  it('takes two folders without names and says what it cannot open', async () => {
    const host = fakeHost();
    // 1 would say that they differ.
    expect(await runProgram(['diff', 'no/a', 'no/b'], host)).toBe(2);
    expect(host.error.text).toContain('no/a is not a run: there is no journal.subzero in it');
    expect(await runProgram(['diff', 'no/a'], host)).toBe(2);
    expect(host.error.text).toContain('--other RUN_B');
    expect(await runProgram(['diff', 'no/a', 'no/b', 'no/c'], host)).toBe(2);
    expect(host.error.text).toContain('unexpected argument "no/c"');
  });
});

describe('experiment', () => {
  it('trains and evaluates on rows that are read as was asked for', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'subzero-experiment-'));
    const task = join(folder, 'task.json');
    writeFileSync(task, JSON.stringify({ template: '{q}', completion: '{a}' }));
    const [trained, evaluated]: [TrainRequest[], EvaluateRequest[]] = [[], []];
    const { engine } = recordingEngine({
      train(request) {
        trained.push(request);
        return streamOf(trainEvents);
      },
      async evaluate(request) {
        evaluated.push(request);
        return { examples: 1, loss: 1, accuracy: 0.5, f1: null, exactMatch: null, tokens: 1, seconds: 1 };
      },
      info: async () => ({ adapter: { description: 'a card' } }) as never,
    });
    const words = [
      'experiment',
      'refresh',
      '--model',
      'package.json',
      '--seeds',
      '1',
      '--refreshes',
      '5',
      '--ranks',
      '2',
    ];
    const rows = join(folder, 'x.csv');
    writeFileSync(rows, 'q,a\nwhat,that\n');
    const columns = ['--data', rows, '--columns', 'prompt=q', '--out', join(folder, 'a')];
    expect(await runProgram([...words, '--learning-rates', '1e-3', ...columns], fakeHost({ engine }))).toBe(0);
    expect(trained[0]).toMatchObject({ data: { file: rows }, configuration: { columns: ['prompt=q'], rank: 2 } });
    expect(evaluated[0]).toMatchObject({ data: { file: rows }, columns: ['prompt=q'] });
    const files = join(folder, 'd');
    mkdirSync(files);
    for (const name of ['train', 'validation']) writeFileSync(join(files, `${name}.jsonl`), '{"q": "a", "a": "b"}\n');
    const described = ['--data', files, '--task-file', task, '--out', join(folder, 'b')];
    expect(await runProgram([...words, '--learning-rates', '1e-3', ...described], fakeHost({ engine }))).toBe(0);
    // Without the validation rows beside those that it trains on.
    const directory = expect.stringContaining(join(folder, 'b', 'kept'));
    expect(trained[1]).toMatchObject({ data: { task: { template: '{q}' }, directory } });
    expect(evaluated[1]).toMatchObject({ data: { task: { template: '{q}' }, directory: files } });
    expect(readFileSync(join(folder, 'b', 'report.md'), 'utf8')).toContain('data: the task task;');
  });

  it.each([
    ['ranks', '4,4.5', 'whole numbers from 1'],
    ['ranks', '0', 'whole numbers from 1'],
    ['refreshes', '1.5', 'whole numbers from 1'],
    ['stages', '-1', 'whole numbers from 0'],
    ['learning-rates', 'Infinity', 'numbers above 0'],
  ])('refuses --%s %s', async (option, value, wanted) => {
    const host = fakeHost({ engine: recordingEngine({}).engine });
    const refused = ['experiment', 'refresh', '--model', 'm', '--data', 'package.json', '--out', 'o'];
    expect(await runProgram([...refused, `--${option}=${value}`], host)).toBe(2);
    expect(host.error.text).toContain(`--${option} takes ${wanted}; got ${value.replace(',', ', ')}`);
  });

  it('refuses values that no run takes before it measures others, and lists without one', async () => {
    const out = mkdtempSync(join(tmpdir(), 'subzero-experiment-'));
    const refused = ['experiment', 'refresh', '--model', 'm', '--data', 'package.json', '--out', out];
    for (const [option, problem] of [
      ['--learning-rates=1e-4,1e3', 'must be between 0 and 10; got 1000'],
      ['--ranks=4,1000000', 'rank'],
      ['--ranks=,', '--ranks has no value'],
    ] as const) {
      const host = fakeHost({ engine: recordingEngine({}).engine });
      expect(await runProgram([...refused, option], host), option).not.toBe(0);
      expect(host.error.text).toContain(problem);
    }
    expect(readdirSync(out)).toEqual([]);
  });

  it('refuses what an experiment does not read', async () => {
    const out = mkdtempSync(join(tmpdir(), 'subzero-experiment-'));
    const scale = ['experiment', 'scale', '--model', 'm', '--data', 'package.json', '--out', out];
    for (const [option, value] of [
      ['--limit', '5'],
      ['--batch-size', '4'],
    ] as const) {
      const host = fakeHost({ engine: recordingEngine({}).engine });
      expect(await runProgram([...scale, option, value], host)).not.toBe(0);
      expect(host.error.text).toContain(`the experiment scale does not read ${option}; it reads --steps`);
    }
    const host = fakeHost({ engine: recordingEngine({}).engine });
    expect(await runProgram([...scale, '--validation', 'package.json'], host)).not.toBe(0);
    expect(host.error.text).toContain('the experiment scale reads no validation data');
    expect(readdirSync(out)).toEqual([]);
  });
});

describe('eval', () => {
  const scores = { accuracy: 0.75, f1: null, exactMatch: null };
  const choice = { options: [' bad', ' good'], loss: 0.5, weight: 1, correct: [1] };
  const outcomes = [1, 1, 1, 0].map((chosen) => ({ ...choice, chosen, answer: ['bad', 'good'][chosen]! }));
  const result = { examples: 872, loss: 0.5, ...scores, tokens: 100, seconds: 2, outcomes };
  const evaluation = () =>
    recordingEngine({
      async evaluate(request, onProgress) {
        const asked = { model: 'm', data: { task: 'sst2', directory: 'd' }, limit: 10, outcomes: 'scores' };
        expect(request).toEqual(asked);
        onProgress?.(5, 10);
        return result;
      },
    }).engine;
  const words = ['eval', '--model', 'm', '--task', 'sst2', '--data', 'd', '--limit', '10'];

  it('prints one line, progress aside', async () => {
    const host = fakeHost({ engine: evaluation() });
    expect(await runProgram(words, host)).toBe(0);
    expect(host.out.text.split('\n')).toEqual([
      'accuracy 0.7500, loss 0.5000 on 872 examples (2.0 s)',
      '  accuracy: 0.7500 [0.2500, 1.0000]',
      expect.stringMatching(/^ {2}macro-F1: 0\.4286 \[/),
      '  loss (nats): 0.5000 [0.5000, 0.5000]',
      '',
    ]);
    expect(host.error.text).toBe('evaluated 5 of 10 examples\n');
  });
  it('prints F1 and exact match of tasks that are scored so', async () => {
    const { engine } = recordingEngine({
      evaluate: async () => ({ ...result, accuracy: null, f1: 0.5, exactMatch: 0.25 }),
    });
    const host = fakeHost({ engine });
    expect(await runProgram(words, host)).toBe(0);
    expect(host.out.text).toContain('F1 0.5000, exact match 0.2500, loss 0.5000 on 872 examples (2.0 s)\n');
  });
  it('loads the model with the storage type that was asked for', async () => {
    const { engine, calls } = recordingEngine({ evaluate: async () => result });
    expect(await runProgram([...words, '--storage', 'bf16', '--step', '3'], fakeHost({ engine }))).toBe(0);
    expect(calls[0]).toEqual({ name: 'loadModel', request: { id: 'm', path: 'm', step: 3, storage: 'bf16' } });
  });
  it('warns where texts were cut', async () => {
    const { engine } = recordingEngine({ evaluate: async () => ({ ...result, truncated: 3 }) });
    const host = fakeHost({ engine });
    expect(await runProgram(words, host)).toBe(0);
    expect(host.error.text).toContain('warning: 3 of 4 examples');
  });
  it('prints JSON on request', async () => {
    const host = fakeHost({ engine: evaluation() });
    await runProgram([...words, '--json'], host);
    const { outcomes: _, ...figures } = result;
    const { metrics, ...printed } = JSON.parse(host.out.text);
    expect(printed).toEqual(figures);
    expect(metrics[0]).toEqual({ metric: 'accuracy', value: 0.75, interval: [0.25, 1] });
    expect(host.error.text).toBe('');
  });
  it('compares two models on the same rows and writes reports', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'subzero-eval-'));
    const requests: EvaluateRequest[] = [];
    const { engine, calls } = recordingEngine({
      async evaluate(request) {
        requests.push(request);
        return request.model === 'base' ? { ...result, outcomes: outcomes.toReversed() } : result;
      },
    });
    const host = fakeHost({ engine });
    const files = ['report.md', 'of/its/own/report.json'].map((name) => join(folder, name));
    const data = join(folder, 'rows.jsonl');
    writeFileSync(data, '{"prompt": "It was", "options": [" bad", " good"], "label": 1}\n');
    const compare = ['eval', '--compare', 'base', 'runs/a', '--step', 'best', '--data', data, '--metric'];
    expect(await runProgram([...compare, 'accuracy', ...files.flatMap((file) => ['--report', file])], host)).toBe(0);
    const loads = calls.filter(({ name }) => name === 'loadModel').map(({ request }) => request);
    expect(loads).toEqual([
      { id: 'base', path: 'base', storage: 'auto' },
      { id: 'runs/a', path: 'runs/a', step: 'best', storage: 'auto' },
    ]);
    expect(requests[0]).toMatchObject({ model: 'base', outcomes: 'texts' });
    expect(requests[0]).not.toHaveProperty('generate');
    expect(host.out.text).toContain('accuracy: 0.7500 → 0.7500, difference +0.0000');
    expect(readFileSync(files[0]!, 'utf8')).toContain('Model: `runs/a at step best`\n- Compared with: `base`');
    expect(JSON.parse(readFileSync(files[1]!, 'utf8')).comparison[0]).toMatchObject({ gained: 1, lost: 1 });
  });
  it('has answers generated for metrics of texts and graders', async () => {
    const requests: EvaluateRequest[] = [];
    const { engine } = recordingEngine({
      async evaluate(request) {
        requests.push(request);
        return { ...result, outcomes: [{ loss: 1, weight: 1, answer: 'a', references: ['a'], item: { a: 'a' } }] };
      },
    });
    const grader = join(mkdtempSync(join(tmpdir(), 'subzero-eval-')), 'grader.json');
    const check = { type: 'string_check', name: 'same', operation: 'eq', reference: '{{item.a}}' };
    writeFileSync(grader, JSON.stringify({ ...check, input: '{{sample.output_text}}' }));
    const host = fakeHost({ engine });
    const more = ['--grader', grader, '--metric', 'rouge-l', '--max-tokens', '9', '--stop', ';'];
    expect(await runProgram([...words, ...more], host)).toBe(0);
    expect(requests[0]).toMatchObject({ outcomes: 'texts', generate: { maxTokens: 9, stop: [';'] } });
    expect(host.out.text).toContain('  reward: 1.0000 [1.0000, 1.0000]\n  ROUGE-L: 1.0000');
  });
  it.each([
    { more: ['--metric', 'rouge'], what: 'there is no metric "rouge"; there are loss, accuracy' },
    { more: ['--metric', 'reward'], what: '--metric reward needs a grader; name one with --grader' },
    { more: ['--metric', 'dpo-loss'], what: '--metric dpo-loss needs preferences and a base; name one with --base' },
    { more: ['--report', 'a.txt'], what: 'must end in .md or .json' },
    { more: ['--report', 'package.json/a.md'], what: 'cannot make package.json', code: 1 },
    { more: ['--compare-step', '3'], what: '--compare-step needs --compare RUN' },
    { more: ['--grader', 'no/file'], what: '--grader no/file cannot be read' },
  ])('refuses $more', async ({ more, what, code = 2 }: { more: string[]; what: string; code?: number }) => {
    const host = fakeHost();
    expect(await runProgram([...words, ...more], host)).toBe(code);
    expect(host.error.text).toContain(what);
  });
});

describe('generate', () => {
  function generating(finishReason: 'stop' | 'length') {
    const requests: GenerateRequest[] = [];
    const { engine } = recordingEngine({
      generate(request) {
        requests.push(request);
        return streamOf([
          { type: 'start' as const, promptTokens: 2 },
          {
            type: 'token' as const,
            id: 1,
            text: 'good ',
            tokenText: 'good ',
            bytes: [...Buffer.from('good ')],
            logprob: -1,
            topLogprobs: [],
            textOffset: 0,
          },
          {
            type: 'token' as const,
            id: 2,
            text: 'film',
            tokenText: 'film',
            bytes: [...Buffer.from('film')],
            logprob: -1,
            topLogprobs: [],
            textOffset: 5,
          },
          { type: 'done' as const, finishReason, text: 'good film', promptTokens: 2, completionTokens: 2 },
        ]);
      },
    });
    return { engine, requests };
  }

  it('streams the text and passes only what was asked', async () => {
    const { engine, requests } = generating('stop');
    const host = fakeHost({ engine, standardInput: 'from a pipe' });
    const words = ['generate', '--model', 'm', '--prompt', '-', '--top-k', '5', '--stop', 'END'];
    expect(await runProgram(words, host)).toBe(0);
    expect(host.out.text).toBe('good film\n');
    expect(requests).toEqual([
      { model: 'm', prompt: 'from a pipe', maxTokens: 128, temperature: 1, topP: 1, topK: 5, stop: ['END'] },
    ]);
  });
  it('prints one JSON line on request', async () => {
    const host = fakeHost({ engine: generating('length').engine });
    await runProgram(['generate', '--model', 'm', '--prompt', 'x', '--json', '--max-tokens', '2'], host);
    expect(JSON.parse(host.out.text)).toEqual({
      finishReason: 'length',
      text: 'good film',
      promptTokens: 2,
      completionTokens: 2,
    });
  });
  it('says when the default limit cut the text off', async () => {
    const host = fakeHost({ engine: generating('length').engine });
    await runProgram(['generate', '--model', 'm', '--prompt', 'x'], host);
    expect(host.error.text).toContain('--max-tokens allows more');
  });
});

describe('export and replay', () => {
  it('writes the files and names them', async () => {
    const requests: unknown[] = [];
    const { engine } = recordingEngine({
      async exportRun(request) {
        requests.push(request);
        return ['o/config.json', 'o/model.safetensors'];
      },
    });
    const host = fakeHost({ engine });
    await runProgram(['export', '--run', 'r', '--out', 'o', '--format', 'peft', '--step', '0'], host);
    await runProgram(['export', '--run', 'r', '--out', 'o', '--step', 'best', '--quiet'], fakeHost({ engine }));
    expect(requests).toEqual([
      { run: 'r', format: 'peft', out: 'o', step: 0 },
      { run: 'r', format: 'safetensors', out: 'o', step: 'best' },
    ]);
    expect(await runProgram(['export', '--run', 'r', '--out', 'o', '--step', 'worst'], host)).toBe(2);
    expect(host.error.text).toContain('--step must be a whole number or best; got "worst"');
    expect(host.out.text).toBe('o/config.json\no/model.safetensors\n');
  });
  it('rebuilds the step that was asked for', async () => {
    const exports: unknown[] = [];
    const { engine, calls } = recordingEngine({
      models: async () => [modelInfo('r', 100)],
      async exportRun(request) {
        exports.push(request);
        return ['o/model.safetensors'];
      },
    });
    const host = fakeHost({ engine });
    expect(await runProgram(['replay', '--run', 'r', '--to', '100', '--out', 'o', '--json'], host)).toBe(0);
    expect(calls[0]!.request).toEqual({ id: 'r', path: 'r', step: 100 });
    expect(exports).toEqual([{ run: 'r', format: 'safetensors', out: 'o', step: 100 }]);
    expect(JSON.parse(host.out.text)).toEqual({ run: 'r', step: 100, seconds: 0, files: ['o/model.safetensors'] });
  });
  it('says that a model has nothing to replay', async () => {
    const { engine } = recordingEngine({ models: async () => [modelInfo('m', undefined, 'base')] });
    const host = fakeHost({ engine });
    expect(await runProgram(['replay', '--run', 'm'], host)).not.toBe(0);
    expect(host.error.text).toContain('m is a model, not a run; there is nothing to replay');
    expect(host.out.text).toBe('');
  });
});

describe('models of the hub', () => {
  const pulled = async (words: string, environment: Record<string, string> = {}) => {
    const { engine, calls } = recordingEngine();
    const host = fakeHost({ engine, environment });
    const code = await runProgram(words.split(' '), host);
    const loaded = calls
      .filter(({ name }) => name === 'loadModel')
      .map(({ request }) => (request as { path: string }).path);
    return { code, pulled: host.pulled, loaded, out: host.out.text, error: host.error.text };
  };

  it('are got where a command takes a model, and only where there is no folder', async () => {
    const words = 'generate --prompt x --model';
    expect(await pulled(`${words} org/m@v1`)).toMatchObject({ pulled: ['org/m@v1'], loaded: ['org/m'] });
    expect(await pulled(`${words} org/m:a.gguf`)).toMatchObject({ pulled: ['org/m'], loaded: ['org/m/a.gguf'] });
    for (const path of ['examples/reviews-3m', './org/m', 'm', 'a/b/c']) {
      expect(await pulled(`${words} ${path}`)).toMatchObject({ pulled: [], loaded: [path] });
    }
    const { pulled: names } = await pulled('eval --model org/m --data package.json');
    expect(names).toEqual(['org/m']);
  });

  it('are pulled by name, which prints where they lie', async () => {
    expect(await pulled('pull org/m@v1')).toMatchObject({ code: 0, pulled: ['org/m@v1'], out: 'org/m\n' });
    expect(await pulled('pull m')).toMatchObject({ code: 2, pulled: [] });
    expect((await pulled('pull m')).error).toContain('pull takes ORG/NAME[@REVISION][:FILE]');
    expect(JSON.parse((await pulled('pull org/m --json')).out)).toMatchObject({
      directory: 'org/m',
      downloadedBytes: 0,
    });
  });
});

describe('adapters', () => {
  const run = async (...words: string[]) => {
    const { engine, calls } = recordingEngine();
    const requests: TrainRequest[] = [];
    engine.train = (request) => {
      requests.push(request);
      return streamOf(trainEvents);
    };
    const host = fakeHost({ engine });
    const code = await runProgram(words, host);
    return { code, calls, requests, pulled: host.pulled, error: host.error.text };
  };
  const data = ['--data', 'x.jsonl', '--out', 'o'];

  it('are applied to a model, from a folder or the hub', async () => {
    const { calls } = await run('eval', '--model', 'm', '--lora', 'a', '--data', 'package.json');
    expect(calls[0]).toMatchObject({ name: 'loadModel', request: { id: 'm', path: 'm', lora: 'a' } });
    const { pulled } = await run('eval', '--model', 'm', '--lora', 'org/a', '--data', 'package.json');
    expect(pulled).toEqual(['org/a']);
  });

  it('are the start of LoRA training, whose shape they decide', async () => {
    const good = await run('train', '--model', 'm', '--scheme', 'lora', '--lora', 'a', ...data);
    expect(good.requests).toMatchObject([{ model: 'm', lora: 'a', configuration: { scheme: 'lora' } }]);
    for (const [words, message] of [
      [[], '--lora goes on from an adapter, which needs --scheme lora'],
      [['--scheme', 'prompt'], '--lora goes on from an adapter, which needs --scheme lora'],
      [
        ['--scheme', 'lora', '--lora-rank', '4'],
        '--lora goes on from an adapter, which decides --lora-rank; leave that out',
      ],
    ] as const) {
      const { code, error } = await run('train', '--model', 'm', '--lora', 'a', ...data, ...words);
      expect(code).toBe(2);
      expect(error).toContain(message);
    }
  });

  it('are served under names of their own', () => {
    const [first, second] = [
      { id: 'x', path: 'p' },
      { id: 'y', path: 'q', storage: 'f16' as const },
    ];
    expect(namedAdapters(['a=d', 'x+b=e=f'], [first])).toEqual([
      { id: 'a', path: 'p', base: 'x', lora: 'd' },
      { id: 'b', path: 'p', base: 'x', lora: 'e=f' },
    ]);
    expect(namedAdapters(['y+a=d'], [first, second])).toEqual([{ ...second, id: 'a', base: 'y', lora: 'd' }]);
    for (const [words, message] of [
      [['d'], '--lora must be NAME=DIR or BASE+NAME=DIR; got "d"'],
      [['a=d'], 'name the base model, BASE+a=d, one of x, y'],
      [['z+a=d'], 'there is no model "z"; there are x, y'],
      [['x+y=d'], 'another model is called "y"'],
      [['x+a=d', 'y+a=e'], 'another model is called "a"'],
    ] as const) {
      expect(() => namedAdapters(words, [first, second])).toThrow(message);
    }
  });
});

describe('serve', () => {
  it('starts the server, waits for Ctrl-C and shuts down', async () => {
    const { engine, calls } = recordingEngine();
    const host = fakeHost({ engine, environment: { SUBZERO_API_KEY: 'secret' } });
    const running = runProgram(['serve', '--model', 'base=a/m', '--model', 'runs/b', '--port', '0'], host);
    await expect.poll(() => host.out.text).toContain('listening on http://127.0.0.1:0\n');
    expect(host.served[0]).toMatchObject({
      models: [
        { id: 'base', path: 'a/m' },
        { id: 'b', path: 'runs/b' },
      ],
      host: '127.0.0.1',
      port: 0,
      apiKey: 'secret',
      dataDirectory: 'runs/server',
      logLevel: 'info',
      graceSeconds: 10,
      limits: { fileBytes: 512 * 2 ** 20, stepRuns: 4 },
    });
    expect(host.closedServers).toBe(0);
    host.interrupt('SIGTERM');
    expect(await running).toBe(0);
    expect(host.closedServers).toBe(1);
    expect(calls.at(-1)?.name).toBe('close');
  });
  it('refuses origins and names that no request can have', async () => {
    const start = async (...words: string[]) => {
      const host = fakeHost({ engine: recordingEngine().engine });
      return { code: await runProgram(['serve', '--model', 'a/m', ...words], host), error: host.error.text };
    };
    for (const origin of ['app.example', 'https://app.example/', 'https://App.example', 'https://a/b']) {
      const { code, error } = await start('--cors-origin', origin);
      expect(code).toBe(2);
      expect(error).toContain(`an origin such as https://app.example:8443; got "${origin}"`);
    }
    const { code, error } = await start('--allowed-host', 'https://models.example');
    expect(code).toBe(2);
    expect(error).toContain('without scheme and path');
  });
  it('takes limits and the log from flags, the environment and a file', async () => {
    const { engine } = recordingEngine();
    const config = join(mkdtempSync(join(tmpdir(), 'subzero-serve-')), 'serve.json');
    writeFileSync(config, JSON.stringify({ maxGenerations: 7, graceSeconds: 0.5, model: ['a/m'] }));
    const host = fakeHost({ engine, environment: { SUBZERO_LOG_LEVEL: 'debug', SUBZERO_MAX_GENERATIONS: '8' } });
    const running = runProgram(['serve', '--max-file', '2MiB', '--storage', 'bf16', '--config', config], host);
    await expect.poll(() => host.out.text).toContain('listening');
    expect(host.served[0]).toMatchObject({
      models: [{ id: 'm', path: 'a/m', storage: 'bf16' }],
      logLevel: 'debug',
      graceSeconds: 0.5,
      limits: { fileBytes: 2 * 2 ** 20, activeGenerations: 8, queuedJobs: 100 },
    });
    host.interrupt('SIGTERM');
    expect(await running).toBe(0);
  });
  it('names models by their folder unless they have a name', () => {
    expect(namedModels(['x=a', './b=c', 'd/e/', 'org/f'])).toEqual([
      { id: 'x', path: 'a' },
      { id: 'b=c', path: './b=c' },
      { id: 'e', path: 'd/e/' },
      { id: 'f', path: 'org/f' },
    ]);
    expect(namedModels(['models/story-q8_0.gguf', 'big-00001-of-00003.gguf']).map(({ id }) => id)).toEqual([
      'story-q8_0',
      'big',
    ]);
    expect(() => namedModels(['x='])).toThrow('names no folder');
    expect(() => namedModels(['@best'])).toThrow('names no folder');
    expect(namedModels(['org/f@refs/pr/1', 'g=org/f@v1'])).toEqual([
      { id: 'f', path: 'org/f@refs/pr/1' },
      { id: 'g', path: 'org/f@v1' },
    ]);
    expect(namedModels(['x=runs/a@best', 'runs/b@100', 'mail@host'])).toEqual([
      { id: 'x', path: 'runs/a', step: 'best' },
      { id: 'b', path: 'runs/b', step: 100 },
      { id: 'mail@host', path: 'mail@host' },
    ]);
  });
});
