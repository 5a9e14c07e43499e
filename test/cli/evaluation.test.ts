import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EvaluationPlan, evaluateByPlan, evaluationWarnings } from '../../src/cli/evaluation.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import { reportData, reportLines, reportMarkdown } from '../../src/evaluation/report.ts';
import { parseGrader } from '../../src/graders/index.ts';
import { join } from '../../src/platform/index.ts';
import { collect, ofType, quick, removeTemporary, temporaryFolder, tinyModel, writeRows } from '../train/tiny.ts';

let engine: LocalEngine;
let model: string;
beforeAll(async () => {
  engine = await LocalEngine.open();
  model = tinyModel();
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

const rowsOf = (rows: readonly object[]) => writeRows(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

const evaluated = (plan: Partial<EvaluationPlan> & Pick<EvaluationPlan, 'request'>) =>
  evaluateByPlan(
    engine,
    {
      title: 'Evaluation',
      model: { path: model, step: undefined },
      metricNames: [],
      answers: {},
      withTexts: true,
      ...plan,
    },
    () => {},
    new AbortController().signal,
  );

/** The share of letters in an answer, and what the row asks to be added. */
const letters = async () => ({
  file: 'grader.json',
  grader: await parseGrader({
    ...{ type: 'javascript', name: 'letters' },
    source:
      'function grade(sample, item) { const t = sample.output_text; ' +
      'return item.bonus + t.replace(/[^a-z]/g, "").length / (t.length + 1); }',
  }),
});

describe('rows of prompts', () => {
  const prompts = ['say it', 'once more', 'tell me', 'go on'];
  const answers = { maxTokens: 6, stop: [] };

  test('have answers generated and graded, and nothing else', async () => {
    const file = rowsOf(prompts.map((prompt, bonus) => ({ prompt, bonus })));
    const { report, result } = await evaluated({ request: { data: { file } }, grader: await letters(), answers });
    await engine.loadModel({ id: 'm', path: model });
    let expected = 0;
    for (const [bonus, prompt] of prompts.entries()) {
      for await (const event of engine.generate({ model: 'm', prompt, maxTokens: 6, temperature: 0 })) {
        if (event.type !== 'done') continue;
        const text = event.text.trim();
        expected += bonus + text.replace(/[^a-z]/g, '').length / (text.length + 1);
      }
    }
    await engine.unloadModel('m');
    expect(report.measured.map(({ metric }) => metric)).toEqual(['reward']);
    expect(report.measured[0]!.value).toBeCloseTo(expected / prompts.length, 12);
    expect(report.measured[0]!.interval[0]).toBeLessThan(report.measured[0]!.value);
    expect(result).toMatchObject({ examples: 4, loss: Number.NaN, accuracy: null, f1: null, exactMatch: null });
    expect(reportMarkdown(report)).toContain('Answers are generated greedily');
    expect(report.model.outcomes[3]).toMatchObject({ prompt: 'go on', item: { bonus: 3 } });
    expect(report.model.outcomes[3]).not.toHaveProperty('references');
  });

  test('compare two models, as rows with answers do', async () => {
    const file = rowsOf(prompts.map((prompt) => ({ prompt, bonus: 0 })));
    const run = join(temporaryFolder(), 'run');
    const configuration = { ...quick, steps: 2, batchSize: 2, learningRate: 1e-2, rewardTokens: 4 };
    const grader = await letters();
    await collect(engine.train({ model, data: { file }, grader: grader.grader, configuration, out: run }));
    const baseline = { path: model, step: undefined };
    const plan = { model: { path: run, step: undefined }, baseline, grader, answers, request: { data: { file } } };
    const { report } = await evaluated(plan);
    expect(report.compared!.map(({ metric }) => metric)).toEqual(['reward']);
    expect(reportLines(report)[0]).toMatch(/^reward: .* p = .*paired bootstrap/);
    const data = JSON.parse(JSON.stringify(reportData(report)));
    expect(data.outcomes[0].baseline).toHaveProperty('reward');
  });

  test('are told from rows that have an answer; a file holds the one or the other', async () => {
    const mixed = rowsOf([
      { prompt: 'a', bonus: 0 },
      { prompt: 'b', completion: 'c' },
    ]);
    const grader = await letters();
    await expect(evaluated({ request: { data: { file: mixed } }, grader, answers })).rejects.toThrow(
      /must hold one format/,
    );
    const file = rowsOf([{ prompt: 'a', bonus: 0 }]);
    await expect(evaluated({ request: { data: { file } } })).rejects.toThrow(/unknown row with fields/);
    const metricNames = ['reward', 'rouge-l'];
    await expect(evaluated({ request: { data: { file } }, grader, answers, metricNames })).rejects.toThrow(
      /rouge-l needs answers to compare with/,
    );
  });
});

test('what the rows have nothing for is refused before a model is loaded', async () => {
  const nowhere = { model: { path: '/no/such/model', step: undefined } };
  const wanted = async (rows: readonly object[], plan: Partial<EvaluationPlan>) =>
    evaluated({ ...nowhere, request: { data: { file: rowsOf(rows) } }, ...plan });
  const options = [{ prompt: 'a', options: ['b', 'c'], label: 0 }];
  const preferences = [{ prompt: 'a', chosen: 'b', rejected: 'c' }];
  const completions = [{ prompt: 'a', completion: 'b' }];
  const texts = [{ text: 'a' }];
  const needs = (metric: string, what: string) => new RegExp(`the metric ${metric} needs ${what}`);
  const refused: [metric: string, what: string, rows: object[][]][] = [
    ['accuracy', 'options', [completions, texts, [{ prompt: 'a' }]]],
    ['macro-f1', 'the same options', [completions]],
    ['rouge-l', 'answers to compare with', [texts, [{ prompt: 'a' }]]],
    ['margin', 'preferences', [options, completions]],
    ['loss', 'answers to take it of', [[{ prompt: 'a' }]]],
  ];
  for (const [metric, what, kinds] of refused) {
    for (const rows of kinds) {
      await expect(wanted(rows, { metricNames: [metric] })).rejects.toThrow(needs(metric, what));
    }
  }
  await expect(wanted(texts, { grader: await letters() })).rejects.toThrow(/:1 is a text by itself and has no answer/);
  await expect(wanted(options, { base: { model: nowhere.model, beta: 1 } })).rejects.toThrow(/:1 is no preference/);
  // What fits goes on to the model, and so do columns under other names.
  const fitting: [rows: object[], metrics: string[], reading?: { columns: string[] }][] = [
    [options, ['accuracy', 'macro-f1', 'loss', 'exact-match']],
    [preferences, ['accuracy', 'margin', 'loss']],
    [completions, ['rouge-l', 'f1', 'loss']],
    [texts, ['loss']],
    [[{ question: 'a', answer: 'b' }], ['f1'], { columns: ['prompt=question', 'completion=answer'] }],
  ];
  for (const [rows, metricNames, reading = {}] of fitting) {
    const request = { data: { file: rowsOf(rows) }, ...reading };
    await expect(evaluated({ ...nowhere, request, metricNames })).rejects.toThrow(/no\/such\/model/);
  }
});

test('preferences against a base have the margin and the loss that training tells of', async () => {
  const file = rowsOf(
    Array.from({ length: 9 }, (_, index) => ({
      prompt: `film ${index}, it was`,
      chosen: `great ${index}`,
      rejected: 'bad',
    })),
  );
  const run = join(temporaryFolder(), 'run');
  const configuration = { ...quick, steps: 6, learningRate: 1e-3, dpoBeta: 0.6, evaluateEvery: 0 };
  const events = await collect(engine.train({ model, data: { file }, validation: { file }, configuration, out: run }));
  const told = ofType(events, 'evaluation').at(-1)!;
  const { report } = await evaluated({
    request: { data: { file } },
    model: { path: run, step: undefined },
    base: { model: { path: model, step: undefined }, beta: 0.6 },
  });
  const [accuracy, margin, loss] = report.measured;
  expect(report.measured.map(({ metric }) => metric)).toEqual(['preference-accuracy', 'margin', 'dpo-loss']);
  expect(accuracy!.value).toBeCloseTo(told.accuracy!, 12);
  expect(0.6 * margin!.value).toBeCloseTo(told.measures!.rewardMargin!, 4);
  expect(loss!.value).toBeCloseTo(told.loss, 4);
  expect(loss!.value).not.toBeCloseTo(Math.LN2, 4);
  expect(report.notes.join()).toMatch(/above `.*`; β of the DPO loss: 0\.6/);
});

test('rows that a run was trained on are told from others', async () => {
  const folder = temporaryFolder();
  const rows = (count: number) => '{"prompt": "say", "completion": "it"}\n'.repeat(count);
  const [train, dev] = [writeRows(rows(6), folder, 'train.jsonl'), writeRows(rows(3), folder, 'dev.jsonl')];
  const run = join(temporaryFolder(), 'run');
  const configuration = { ...quick, steps: 1 };
  await collect(engine.train({ model, data: { file: folder }, configuration, out: run }));
  const told = async (file: string, plan: Partial<EvaluationPlan> = {}) => {
    const own = { model: { path: run, step: undefined }, ...plan, request: { data: { file } } };
    const { report } = await evaluated(own);
    return { warnings: evaluationWarnings(report), markdown: reportMarkdown(report) };
  };
  const trained = await told(train, { baseline: { path: model, step: undefined } });
  expect(trained.warnings).toEqual([expect.stringMatching(/run was trained on rows of .*train\.jsonl: these/)]);
  expect(trained.markdown).toMatch(/^- `.*run` was trained on rows of `.*train\.jsonl`/m);
  // The folder's file of validation is no file of training, nor is anything of a model that is no run.
  for (const { warnings } of [await told(folder), await told(dev)]) expect(warnings).toEqual([]);
  expect((await told(train, { model: { path: model, step: undefined } })).warnings).toEqual([]);
});
