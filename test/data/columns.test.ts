/** Columns of other names, templates, words of labels, tasks as descriptions. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { ColumnChoice } from '../../src/data/columns.ts';
import { loadDataset } from '../../src/data/index.ts';
import { parseTaskDescription, type TaskDescription } from '../../src/data/tasks/described.ts';
import { parseTextTemplate } from '../../src/data/text-template.ts';

const directory = await mkdtemp(join(tmpdir(), 'subzero-test-'));
afterAll(() => rm(directory, { recursive: true }));

async function write(name: string, text: string): Promise<string> {
  const file = join(directory, name);
  await writeFile(file, text);
  return file;
}

async function load(csv: string, choice: Partial<ColumnChoice>) {
  return loadDataset({ file: await write('rows.csv', csv) }, choice);
}

describe('templates', () => {
  const render = (template: string, value: Record<string, unknown>) =>
    parseTextTemplate(template).render({ value, source: 'x:1' });

  test('places, what is optional, white space, doubled braces, columns within objects', () => {
    expect(render('{a} {{b}} {c}', { a: 'x', c: 3 })).toBe('x {b} 3');
    expect(render('[{a?}][{b?}]', { a: '' })).toBe('[][]');
    expect(render('[{a|trim}][{a}]', { a: ' x ' })).toBe('[x][ x ]');
    expect(render('{t.a} {u.v}', { t: { a: 'y' }, 'u.v': 'z' })).toBe('y z');
  });

  test.each([
    ['no place', /has no place/],
    ['{a} {', /single "\{"/],
    ['a } {b}', /single "\}"/],
    ['{}', /has a place \{\}/],
    ['{a|upper}', /has a place \{a\|upper\}/],
  ])('%s is refused', (template, message) => {
    expect(() => parseTextTemplate(template)).toThrow(message);
  });

  test.each([
    [{ b: 'c' }, /^x:1: no column "a"; the row has \["b"\]$/],
    [{ a: ' ' }, /^x:1: "a" is empty/],
    [{ a: ['b'] }, /^x:1: expected a string in "a"; got \["b"\]/],
  ])('a row %j is refused', (value, message) => {
    expect(() => render('{a}', value)).toThrow(message);
  });
});

describe('columns', () => {
  test('fields under other names', async () => {
    const dataset = await load('question,answer,text,id\nWhy?,So.,unused,7\n', {
      columns: ['prompt=question,completion=answer'],
    });
    expect(dataset).toMatchObject({ name: 'completion', unread: ['id'] });
    expect(dataset.examples).toMatchObject([{ prompt: 'Why?', completion: ' So.' }]);
  });

  test('a template is the prompt', async () => {
    const { examples } = await load('title,answer\nCats,They purr.\n', {
      template: 'What of {title}? "{answer}"?',
      columns: ['completion=answer'],
    });
    expect(examples).toMatchObject([{ prompt: 'What of Cats? "They purr."?', completion: ' They purr.' }]);
  });

  test('words for labels, after the text or a template', async () => {
    const csv = 'text,label\nfine film,1\ndull,0\n';
    const plain = await load(csv, { labels: ['0=terrible,1=great'] });
    expect(plain).toMatchObject({ name: 'options', kind: 'options', metric: 'accuracy', unread: [] });
    expect(plain.examples).toMatchObject([
      { prompt: 'fine film', options: [' terrible', ' great'], label: 1 },
      { prompt: 'dull', options: [' terrible', ' great'], label: 0 },
    ]);
    const shown = await load(csv, { labels: ['0=terrible', '1=great'], template: '{text} It was' });
    expect(shown.examples[0]).toMatchObject({ prompt: 'fine film It was', label: 1 });
    const renamed = await load('review,stars\ngood,5\nbad,1\nso so,1\n', {
      columns: ['text=review,label=stars'],
      labels: ['1=no,5=yes, of course'],
    });
    expect(renamed.examples.map(({ options, label }) => options![label!])).toEqual([' yes, of course', ' no', ' no']);
  });

  test('the same as the built-in task', async () => {
    const dev = fileURLToPath(new URL('../../examples/sst2', import.meta.url));
    const task = await loadDataset({ task: 'sst2', directory: dev }, { split: 'evaluation' });
    const text = task.examples.slice(0, 40);
    const tsv = ['sentence\tlabel', ...text.map(({ prompt, label }) => `${prompt.slice(0, -7)} \t${label}`)].join('\n');
    const own = await loadDataset(
      { file: await write('sst2.tsv', tsv) },
      { template: '{sentence|trim} It was', labels: ['0=terrible,1=great'] },
    );
    const bare = (examples: typeof text) => examples.map(({ source, ...example }) => example);
    expect(bare(own.examples)).toEqual(bare(text));
  });

  const cases: [string, string, Partial<ColumnChoice>, RegExp][] = [
    [
      'a column that is not there',
      'a,b\n1,2\n',
      { columns: ['prompt=c'] },
      /rows\.csv:2: no column "c"; the row has \["a","b"\]/,
    ],
    [
      'an unknown field',
      'a,b\n1,2\n',
      { columns: ['promt=a'] },
      /columns has the unknown field "promt"; known are prompt/,
    ],
    ['no pair', 'a,b\n1,2\n', { columns: ['prompt'] }, /columns must be pairs NAME=VALUE/],
    ['a field twice', 'a,b\n1,2\n', { columns: ['text=a', 'text=b'] }, /columns has "text" twice/],
    [
      'a label without a word',
      'text,label\na,2\n',
      { labels: ['0=x,1=y'] },
      /rows\.csv:2: "label" must be one of 0, 1; got "2"/,
    ],
    [
      'a column of the template',
      'a,b\n1,2\n',
      { template: '{c} is', columns: ['completion=b'] },
      /rows\.csv:2: no column "c"; the row has \["a","b"\]$/,
    ],
    [
      'no column of labels',
      'text,kind\na,2\n',
      { labels: ['0=x,1=y'] },
      /rows\.csv:2: no column "label", which .*; the row has \["text","kind"\]; .* \(columns: label=NAME\)$/,
    ],
    [
      'no column for the prompt before labels',
      'mail,label\na,1\n',
      { labels: ['0=x,1=y'] },
      /rows\.csv:2: no column "text", and no template, .* \["mail","label"\]; .* \(columns: text=NAME\)$/,
    ],
    ['text and label alone', 'text,label\na,2\n', {}, /rows\.csv:2: a row cannot have both "text" and "label"/],
    ['unknown columns', 'x,y\na,2\n', {}, /unknown row with fields \["x","y"\].*say which columns are which/],
  ];
  test.each(cases)('%s is named', async (_name, csv, choice, message) => {
    await expect(load(csv, choice)).rejects.toThrow(message);
  });
});

describe('tables of text have lists and numbers as texts', () => {
  test('options and labels', async () => {
    const { examples } = await load(
      'prompt,options,label\nIt was,"[""bad"", ""good""]",1\nIt was,"[""0"", ""1""]",1\n',
      {},
    );
    expect(examples.map(({ options, label }) => options![label!])).toEqual([' good', ' 1']);
  });
});

describe('a task as a description', () => {
  const labelled: TaskDescription = {
    name: 'mood',
    template: '{text} It was',
    labels: { neg: 'bad', pos: 'good', mixed: 'bad' },
    label: 'mood',
    splits: { train: 'rows.csv' },
  };

  test('with labels', async () => {
    await write('rows.csv', 'text,mood\nfine,pos\ndull,mixed\n');
    const dataset = await loadDataset({ task: parseTaskDescription(labelled, 'mood.json'), directory });
    expect(dataset).toMatchObject({ name: 'mood', kind: 'options', metric: 'accuracy' });
    expect(dataset.examples).toMatchObject([
      { prompt: 'fine It was', options: [' bad', ' good'], label: 1 },
      { prompt: 'dull It was', options: [' bad', ' good'], label: 0 },
    ]);
    await expect(loadDataset({ task: labelled, directory }, { labels: ['0=a'] })).rejects.toThrow(
      /has its own columns/,
    );
  });

  test('with answers that are generated, files by their names alone', async () => {
    const description = { template: '{question}\nAnswer:', completion: '{answer}', references: 'answers' };
    const row = { question: 'When?', answer: 'in May', answers: ['in May', 'May'] };
    await write('train.json', JSON.stringify([row]));
    const dataset = await loadDataset({ task: description, directory });
    expect(dataset).toMatchObject({ name: 'task', kind: 'completion', metric: 'f1' });
    expect(dataset.examples).toMatchObject([
      { prompt: 'When?\nAnswer:', completion: ' in May\n', references: ['in May', 'May'] },
    ]);
    await expect(loadDataset({ task: description, directory }, { split: 'validation' })).rejects.toThrow(
      /no validation file of task task: looked for validation, dev, val/,
    );
  });

  test.each([
    [{}, /^t\.json: "template": /],
    [{ template: '{a}', colour: 1 }, /^t\.json: .*colour/],
    [{ template: '{a}' }, /expected either "labels".* or "completion"/],
    [{ template: '{a}', labels: { 0: 'x' } }, /at least two different words/],
    [{ template: '{a}', labels: { 0: 'x', 1: 'y' }, metric: 'f1' }, /are for answers that are generated/],
    [{ template: '{a}', completion: '{b}', metric: 'accuracy' }, /"accuracy" needs "labels"/],
    [{ template: 'a', labels: { 0: 'x', 1: 'y' } }, /has no place for a column/],
  ])('%j is refused', (description, message) => {
    expect(() => parseTaskDescription(description, 't.json')).toThrow(message);
  });
});
