/**
 * `bench load`: how long a model takes to load, beside reading the bytes of its files.
 *
 * @module
 */

import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SubzeroError } from '../src/errors.ts';
import { median, spread } from '../src/experiments/statistics.ts';
import { openWeights } from '../src/model/load.ts';
import { markdownTable } from '../src/table.ts';
import { packableStorages, type StorageWish } from '../src/weights/index.ts';
import { writeRandomCheckpoint } from './load/checkpoint.ts';
import type { LoadAnswer, LoadTurn, Spent } from './load/child.ts';
import { dropPages } from './load/page-cache.ts';
import { machine } from './machine.ts';
import { modelShapes } from './shapes.ts';

export const usage = `npm run bench -- load [options]
  --shape NAME         a checkpoint in bf16 with random weights, written to the folder for temporary files and removed:
                       ${Object.keys(modelShapes).join(', ')} (default qwen3-0.6b)
  --model PATH         this model instead of a shape
  --storage LIST       storage types with commas between, or auto (default bf16,f16,f32,q8)
  --cold               drop the files from the system's memory before each turn
  --rounds N           turns of each, after one another (default 3)
  --adapter NAME       part of the adapter's name, or its index
  --json FILE          write the figures`;

export async function benchLoad(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      shape: { type: 'string', default: 'qwen3-0.6b' },
      model: { type: 'string' },
      storage: { type: 'string', default: 'bf16,f16,f32,q8' },
      cold: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '3' },
      adapter: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const shape = modelShapes[values.shape];
  if (!shape) {
    const names = Object.keys(modelShapes).join(', ');
    throw new SubzeroError('invalid_argument', `--shape ${values.shape} is not one of ${names}`);
  }
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new SubzeroError('invalid_argument', `--rounds must be a whole number from 1; got "${values.rounds}"`);
  }
  const storages = values.storage.split(',') as StorageWish[];
  const known: readonly string[] = ['auto', ...packableStorages];
  const unknown = storages.find((storage) => !known.includes(storage));
  if (unknown !== undefined) {
    throw new SubzeroError('invalid_argument', `--storage ${unknown} is not one of ${known.join(', ')}`);
  }
  const folder = values.model === undefined ? mkdtempSync(join(tmpdir(), 'subzero-load-')) : undefined;
  const clear = (): void => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  };
  const interrupted = (): void => {
    clear();
    process.exit(130);
  };
  process.once('SIGINT', interrupted);
  try {
    if (folder !== undefined) await writeRandomCheckpoint(folder, shape);
    const model = values.model ?? folder!;
    const source = await openWeights(model);
    await source.close();
    const device = values.adapter === undefined ? {} : { adapter: values.adapter };
    const notes = new Set<string>();
    const measured: Round[] = [];
    const inTurn = async (turn: LoadTurn): Promise<LoadAnswer> => {
      for (const file of values.cold ? source.files : []) {
        const reason = dropPages(file);
        if (reason !== undefined) notes.add(reason);
      }
      return await take(turn);
    };
    // Where the files are to be in memory, this brings them there.
    if (!values.cold) await take({ model });
    for (let round = 0; round < rounds; round++) {
      console.error(`round ${round + 1} of ${rounds}`);
      const read = await inTurn({ model });
      const loaded: LoadAnswer[] = [];
      for (const storage of storages) loaded.push(await inTurn({ model, storage, ...device }));
      measured.push({ read, loaded });
    }
    for (const note of notes) console.error(`not as cold as asked for: ${note}`);
    report(`npm run bench -- load ${args.join(' ')}`.trim(), storages, measured);
    if (values.json) {
      const figures = { machine: machine(measured[0]!.loaded[0]!.adapter!), storages, notes: [...notes], measured };
      writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`);
    }
    return 0;
  } finally {
    process.off('SIGINT', interrupted);
    clear();
  }
}

/** Reading, and loading as each of the storage types. */
interface Round {
  read: LoadAnswer;
  loaded: LoadAnswer[];
}

function report(command: string, storages: readonly string[], rounds: readonly Round[]): void {
  const [{ read, loaded }] = rounds as [Round];
  console.log(
    `\`${command}\`: ${rounds.length} turns of each, ${megabytes(read.fileBytes!)} of files; ` +
      `${machine(loaded[0]!.adapter!)}. Times are seconds; ratios to reading are medians of those within a round.\n`,
  );
  const processor = ({ user, system }: Spent): number => user + system;
  const row = (title: string, of: (round: Round) => LoadAnswer): string[] => {
    const answers = rounds.map(of);
    const list = (value: (spent: Spent) => number): string =>
      spread(
        answers.map(({ spent }) => value(spent)),
        2,
      );
    const ratio = (value: (spent: Spent) => number): string =>
      median(rounds.map((round) => value(of(round).spent) / value(round.read.spent))).toFixed(2);
    const first = answers.flatMap(({ firstPass }) => (firstPass ? [firstPass] : []));
    const [{ bufferBytes }] = answers as [LoadAnswer];
    return [
      title,
      list(({ wall }) => wall),
      ratio(({ wall }) => wall),
      list(processor),
      list(({ system }) => system),
      ratio(processor),
      megabytes(Math.max(...answers.map(({ peakResidentBytes }) => peakResidentBytes))),
      bufferBytes === undefined ? '' : megabytes(bufferBytes),
      ...[first.map(({ wall }) => wall), first.map(processor)].map((each) => (each.length ? spread(each, 2) : '')),
    ];
  };
  console.log(
    markdownTable(
      [
        ...['', 'clock', '/ reading', 'processor', 'of it in the kernel', '/ reading', 'peak resident', 'buffers'],
        ...['first pass: clock', 'processor'],
      ],
      [
        row('reading', (round) => round.read),
        ...storages.map((storage, index) => row(`loading as ${storage}`, (round) => round.loaded[index]!)),
      ],
    ),
  );
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

/** Takes a turn in a process of its own. @throws SubzeroError `gpu` where it ends without an answer */
function take(turn: LoadTurn): Promise<LoadAnswer> {
  const child = fork(fileURLToPath(new URL('./load/child.ts', import.meta.url)), [JSON.stringify(turn)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  return new Promise((resolve, reject) => {
    child.once('message', (answer) => resolve(answer as LoadAnswer));
    child.once('exit', (code, signal) =>
      reject(new SubzeroError('gpu', `loading ended with ${signal ?? `exit code ${code}`}, without an answer`)),
    );
  });
}
