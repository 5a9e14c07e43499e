import { mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadDataset } from '../../src/data/load.ts';
import { splitRows, trainingRows } from '../../src/experiments/training-rows.ts';
import { removeTemporary, temporaryFolder } from '../train/tiny.ts';

afterAll(removeTemporary);

/** A folder of CB with rows of training, and one for validation and evaluation. */
function cb(count: number): string {
  const directory = temporaryFolder();
  const row = (index: number) => ({ premise: `p${index}.`, hypothesis: `h${index}`, label: 'entailment' });
  const lines = Array.from({ length: count }, (_, index) => `${JSON.stringify(row(index))}\n`);
  writeFileSync(join(directory, 'train.jsonl'), lines.join(''));
  writeFileSync(join(directory, 'val.jsonl'), lines[0]!);
  return directory;
}

const linesOf = (file: string): string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1);

test('rows that are held out are the same ones every time, and no others train', async () => {
  const source = { task: 'cb', directory: cb(20) };
  const [one, again] = [{ kept: temporaryFolder() }, { kept: temporaryFolder() }];
  const made = (await splitRows(one, source, { share: 0.2, most: 100 })) as typeof source;
  const [train, held] = ['train.jsonl', 'validation.jsonl'].map((name) => linesOf(join(made.directory, name)));
  expect(held).toHaveLength(4);
  expect([...train!, ...held!].toSorted()).toEqual(linesOf(join(source.directory, 'train.jsonl')).toSorted());
  const other = (await splitRows(again, source, { share: 0.2, most: 100 })) as typeof source;
  expect(linesOf(join(other.directory, 'validation.jsonl'))).toEqual(held);
  // The cells after it find them as they are, without a second reading.
  writeFileSync(join(source.directory, 'train.jsonl'), '');
  expect(await splitRows(one, source, { share: 0.2, most: 100 })).toEqual(made);
  expect((await loadDataset(made, { split: 'validation' })).examples).toHaveLength(4);
  expect((await loadDataset(made, { split: 'train' })).examples).toHaveLength(16);
});

test('at most so many are held out, at least one, and never all', async () => {
  const split = async (count: number, most: number) => {
    const source = { task: 'cb', directory: cb(count) };
    const made = (await splitRows({ kept: temporaryFolder() }, source, { share: 0.2, most })) as typeof source;
    return linesOf(join(made.directory, 'validation.jsonl')).length;
  };
  expect([await split(20, 3), await split(2, 3), await split(3, 3)]).toEqual([3, 1, 1]);
  await expect(split(1, 3)).rejects.toThrow(/train\.jsonl has one row; rows can be held out of two or more/);
});

test('a task whose files have names of its own', async () => {
  const directory = cb(10);
  const described = {
    ...{ name: 'mine', template: '{premise}', labels: { entailment: 'yes', contradiction: 'no' }, label: 'label' },
    splits: { train: ['train.csv'], validation: ['held.csv'], evaluation: ['val.jsonl'] },
  };
  writeFileSync(join(directory, 'train.csv'), 'premise,label\na,entailment\nb,contradiction\n');
  const source = { task: described, directory };
  await expect(splitRows({ kept: temporaryFolder() }, source, { share: 0.5, most: 1 })).rejects.toThrow(
    /the task's files are called (train|held)\.csv: .* JSON Lines/,
  );
});

test('without validation rows beside them: the file of a task, one file of a folder, and a file', async () => {
  const directory = cb(3);
  const kept = temporaryFolder();
  const made = (await trainingRows({ kept }, { task: 'cb', directory })) as { directory: string };
  expect(readdirSync(made.directory)).toEqual(['train.jsonl']);
  const file = join(directory, 'train.jsonl');
  expect(realpathSync(join(made.directory, 'train.jsonl'))).toBe(realpathSync(file));
  expect(await trainingRows({ kept }, { file: directory })).toEqual({ file });
  expect(await trainingRows({ kept }, { file })).toEqual({ file });
  // A task looks for no such name in a folder.
  const named = { task: 'cb', directory: join(directory, 'mine.jsonl') };
  writeFileSync(named.directory, '');
  expect(await trainingRows({ kept }, named)).toEqual(named);
  // Several files together are what they were.
  mkdirSync(join(directory, 'more'));
  for (const name of ['train-1.jsonl', 'train-2.jsonl']) writeFileSync(join(directory, 'more', name), '');
  const several = { file: join(directory, 'more') };
  expect(await trainingRows({ kept }, several)).toBe(several);
});
