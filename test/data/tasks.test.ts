import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type Dataset, loadDataset, type Split, tasks } from '../../src/data/index.ts';

const directoryOf = (task: string) => fileURLToPath(new URL(`../fixtures/data/${task}`, import.meta.url));

async function load(task: string, split: Split = 'evaluation'): Promise<Dataset> {
  return loadDataset({ task, directory: directoryOf(task) }, { split });
}

/** Prompt, options and label of all examples. */
async function summary(task: string, split: Split = 'evaluation') {
  return (await load(task, split)).examples.map(({ prompt, options, label }) => [prompt, options, label]);
}

test('all tasks of the protocol are there', () => {
  expect(Object.keys(tasks)).toEqual([
    'sst2',
    'rte',
    'cb',
    'boolq',
    'wsc',
    'wic',
    'multirc',
    'copa',
    'record',
    'squad',
    'drop',
    'sst5',
    'snli',
    'mnli',
    'trec',
  ]);
  for (const [name, task] of Object.entries(tasks)) expect(task.name).toBe(name);
});

describe('sst2', () => {
  test('reads the TSV layout with a header', async () => {
    const dataset = await load('sst2', 'train');
    expect(dataset).toMatchObject({ name: 'sst2', kind: 'options', metric: 'accuracy' });
    expect(dataset.examples).toEqual([
      {
        prompt: 'a warm , funny film . It was',
        options: [' terrible', ' great'],
        label: 1,
        source: `${directoryOf('sst2')}/train.tsv:2`,
      },
      {
        prompt: 'flat and joyless It was',
        options: [' terrible', ' great'],
        label: 0,
        source: `${directoryOf('sst2')}/train.tsv:3`,
      },
    ]);
  });

  test('reads JSON Lines; dev is for evaluation', async () => {
    expect(await summary('sst2')).toEqual([['a clever little thriller . It was', [' terrible', ' great'], 1]]);
  });

  test('reads the shipped sample', async () => {
    const directory = fileURLToPath(new URL('../../examples/sst2', import.meta.url));
    const counts = [];
    for (const split of ['train', 'validation', 'evaluation'] as const) {
      counts.push((await loadDataset({ task: 'sst2', directory }, { split })).examples.length);
    }
    expect(counts).toEqual([1000, 500, 872]);
  });
});

test('rte', async () => {
  expect(await summary('rte')).toEqual([
    ['The ferry left at noon.\nDoes this mean that "The ferry left." is true? Yes or No?\n', ['Yes', 'No'], 0],
    ['No ship arrived.\nDoes this mean that "A ship arrived." is true? Yes or No?\n', ['Yes', 'No'], 1],
  ]);
});

test('cb', async () => {
  const options = ['Yes', 'No', 'Maybe'];
  const question = 'Can we infer that "it rained"? Yes, No, or Maybe?\n';
  expect(await summary('cb', 'train')).toEqual([
    [`Suppose She doubts that it rained. ${question}`, options, 1],
    [`Suppose He knows that it rained. ${question}`, options, 0],
    [`Suppose Did it rain? ${question}`, options, 2],
  ]);
});

test('boolq', async () => {
  expect(await summary('boolq')).toEqual([
    ['Tower -- The tower is open until midnight. Is the tower open at night?\n', ['Yes', 'No'], 0],
    ['Tower -- It has no stairs. Can it be climbed?\n', ['Yes', 'No'], 1],
  ]);
});

test('wsc', async () => {
  expect(await summary('wsc')).toEqual([
    [
      'Ann told Eve that she had won.\nIn the previous sentence, does the pronoun "she" refer to Ann? Yes or No?\n',
      ['No', 'Yes'],
      1,
    ],
  ]);
});

test('wic', async () => {
  expect(await summary('wic')).toEqual([
    [
      'Does the word "bank" have the same meaning in these two sentences? Yes, No?\nWe sat on the bank.\nThe bank ' +
        'was closed.\n',
      ['No', 'Yes'],
      0,
    ],
  ]);
});

test('multirc: one example per answer', async () => {
  const prompt = (question: string, answer: string) =>
    `Tim has a red kite. He flies it on Sunday.\nQuestion: ${question}\nI found this answer "${answer}". Is that ` +
    `correct? Yes or No?\n`;
  expect(await summary('multirc')).toEqual([
    [prompt('What colour is the kite?', 'Red'), ['No', 'Yes'], 1],
    [prompt('What colour is the kite?', 'Blue'), ['No', 'Yes'], 0],
    [prompt('When does it fly?', 'On Sunday'), ['No', 'Yes'], 1],
  ]);
});

describe('copa', () => {
  test('is scored by choosing', async () => {
    const dataset = await load('copa');
    expect(dataset.kind).toBe('options');
    expect(await summary('copa')).toEqual([
      ['The glass fell from the table so ', ['it broke.', 'I am tall.'], 0],
      ['The street was wet because ', ['the sun shone.', 'I watered the plants.'], 1],
    ]);
  });

  test('learns the right choice as a text', async () => {
    const dataset = await load('copa', 'train');
    expect(dataset.kind).toBe('completion');
    expect(dataset.examples).toMatchObject([
      { prompt: 'The glass fell from the table so ', completion: 'it broke.' },
      { prompt: 'The street was wet because ', completion: 'I watered the plants.' },
    ]);
    expect(dataset.examples.every((example) => example.options === undefined)).toBe(true);
  });
});

test('record: entities by code point, all answers count', async () => {
  const { examples } = await load('record');
  const prompt = '😀 Mara Lind met Bo in Oslo.\n- Mara came by train\n- Bo came by boat\n-';
  expect(examples).toMatchObject([
    {
      prompt,
      options: ['Mara Lind', 'Bo', 'Oslo', 'Mara'].map((name) => ` The guests of ${name} went home.`),
      label: 1,
      correct: [1],
    },
    {
      prompt,
      options: ['Mara Lind', 'Bo', 'Oslo', 'Mara'].map((name) => ` The one who came by train was ${name}.`),
      label: 0,
      correct: [0, 3],
    },
  ]);
});

test('squad', async () => {
  const dataset = await load('squad');
  expect(dataset).toMatchObject({ kind: 'completion', metric: 'f1' });
  expect(dataset.examples).toEqual([
    {
      prompt:
        'Title: Old_Bridge\nContext: The old bridge was built in 1871 by two brothers.\nQuestion: When was the ' +
        'bridge built?\nAnswer:',
      completion: ' 1871\n',
      references: ['1871', 'in 1871'],
      source: `${directoryOf('squad')}/dev-v1.1.json (question q1)`,
    },
  ]);
});

describe('drop', () => {
  test('reads the published document', async () => {
    const { examples } = await load('drop');
    expect(examples.map(({ completion, references }) => [completion, references])).toEqual([
      [' 2\n', ['2', 'two']],
      [' 20\n', ['20', '38 yards']],
      [' 3 May 2009\n', ['3 May 2009']],
    ]);
    expect(examples[0]!.prompt).toBe(
      'Passage: The home team kicked goals of 20 and 38 yards on 3 May 2009.\nQuestion: How many goals were ' +
        'kicked?\nAnswer:',
    );
  });

  test('reads rows of finished prompts, plain and gzip', async () => {
    const expected = {
      prompt: 'Passage: Six boats sailed.\nQuestion: How many boats?\nAnswer:',
      completion: ' 6\n',
      references: ['6', 'six'],
    };
    expect((await load('drop', 'train')).examples).toMatchObject([expected]);
    const directory = await mkdtemp(join(tmpdir(), 'subzero-test-'));
    const row = { context: expected.prompt, completion: ' 6', ref_text: '6|six' };
    await writeFile(join(directory, 'drop_v0_dev.jsonl.gz'), gzipSync(`${JSON.stringify(row)}\n`));
    expect((await loadDataset({ task: 'drop', directory }, { split: 'evaluation' })).examples).toMatchObject([
      expected,
    ]);
    await rm(directory, { recursive: true });
  });
});

describe('errors', () => {
  test('an unknown task lists the known ones', async () => {
    await expect(loadDataset({ task: 'constructor', directory: '.' })).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringMatching(/unknown task "constructor"; there are sst2, rte/),
    });
  });

  test('a missing file is named with what was looked for and what is there', async () => {
    await expect(load('rte', 'train')).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringMatching(/no train file of task rte: looked for train\.jsonl; there are val\.jsonl/),
    });
    await expect(loadDataset({ task: 'rte', directory: '/nowhere/at/all' })).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  const rows: [string, string, unknown, RegExp][] = [
    ['a missing label', 'rte', { premise: 'a', hypothesis: 'b' }, /x:1: no "label" \(expected one of entailment/],
    ['an unknown label', 'rte', { premise: 'a', hypothesis: 'b', label: 'maybe' }, /"label" must be one of.*"maybe"/],
    ['an inherited name as label', 'rte', { premise: 'a', hypothesis: 'b', label: 'constructor' }, /must be one of/],
    [
      'a missing field',
      'wic',
      { word: 'w', sentence1: 's', label: true },
      /no column "sentence2"; the row has \["word","sentence1","label"\]/,
    ],
    ['an empty field', 'sst2', { sentence: ' ', label: 1 }, /"sentence" is empty/],
    ['a wrong shape', 'wsc', { text: 't', target: 'x', label: true }, /expected an object in "target"; got "x"/],
    ['a list that is none', 'multirc', { passage: { text: 't', questions: {} } }, /expected a list in "questions"/],
    [
      'an answer that is no entity',
      'record',
      {
        passage: { text: 'ab', entities: [{ start: 0, end: 0 }] },
        qas: [{ query: '@placeholder', answers: [{ text: 'b' }] }],
      },
      /no answer of \["b"\] is among the entities/,
    ],
    ['an unlabelled hub row', 'sst2', { sentence: 's', label: -1 }, /must be one of 0, 1; got -1/],
  ];
  test.each(rows)('%s', (_name, task, value, message) => {
    const read = () => tasks[task]!.read!({ value: value as Record<string, unknown>, source: 'x:1' });
    expect(read).toThrow(message);
    expect(read).toThrow(/^x:1: /);
  });

  test('a TSV row with too many cells is named', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'subzero-test-'));
    await writeFile(join(directory, 'train.tsv'), 'good\t1\nbad\tone\t0\n');
    await expect(loadDataset({ task: 'sst2', directory })).rejects.toThrow(/train\.tsv:2: expected 2 columns/);
    await rm(directory, { recursive: true });
  });
});
