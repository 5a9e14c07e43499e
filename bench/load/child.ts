/**
 * One turn of `bench load`, in a process of its own: memory that a process has had before costs less than fresh memory.
 *
 * Started with a {@link LoadTurn} as its only argument; sends one {@link LoadAnswer}.
 *
 * @module
 */

import { openSync, readSync } from 'node:fs';
import process from 'node:process';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel, openWeights } from '../../src/model/load.ts';
import { Scorer } from '../../src/train/score.ts';
import type { StorageWish } from '../../src/weights/index.ts';
import { deviceOf } from '../device.ts';
import { randomBatch } from '../random-batch.ts';

export interface LoadTurn {
  /** A model directory or a GGUF file. */
  model: string;
  /** What to load as; `undefined` to read the bytes only. */
  storage?: StorageWish;
  adapter?: string;
}

/** Seconds by the clock, and of all threads of the process: in programs and in the kernel. */
export interface Spent {
  wall: number;
  user: number;
  system: number;
}

export interface LoadAnswer {
  /** Reading, or loading up to where the first pass can begin. */
  spent: Spent;
  /** Beyond that, the first pass with its compilation: 8 tokens. */
  firstPass?: Spent;
  /** Bytes that were read; absent where a model was loaded. */
  fileBytes?: number;
  /** Bytes of the buffers on the GPU. */
  bufferBytes?: number;
  /** The most resident memory so far, when loading was done. */
  peakResidentBytes: number;
  adapter?: string;
}

/** Bytes of a read: so many that the call itself costs nothing. */
const pieceBytes = 16 * 1024 * 1024;

/** Reads the files from beginning to end into one piece of memory. @returns how many bytes there were */
function readAll(files: readonly string[]): number {
  const piece = new Uint8Array(pieceBytes);
  let total = 0;
  for (const file of files) {
    const handle = openSync(file, 'r');
    for (let count = 1; count > 0; total += count) count = readSync(handle, piece);
  }
  return total;
}

async function spentBy<T>(work: () => Promise<T>): Promise<{ spent: Spent; result: T }> {
  const began = performance.now();
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { spent: { wall: (performance.now() - began) / 1000, user: user / 1e6, system: system / 1e6 }, result };
}

const peakResidentBytes = (): number => process.resourceUsage().maxRSS * 1024;

async function turn({ model: directory, storage, ...device }: LoadTurn): Promise<LoadAnswer> {
  if (storage === undefined) {
    const source = await openWeights(directory);
    await source.close();
    const { spent, result } = await spentBy(async () => readAll(source.files));
    return { spent, fileBytes: result, peakResidentBytes: peakResidentBytes() };
  }
  const gpu = await Gpu.open(deviceOf(device));
  const { spent, result: model } = await spentBy(() => loadModel(gpu, directory, { storage }));
  const peak = peakResidentBytes();
  const { liveBytes } = gpu.memory.report();
  const scorer = new Scorer(model, 64);
  const example = randomBatch(1, 8, model.decoder.vocabularySize);
  const { spent: firstPass } = await spentBy(() => scorer.score(example, model.plainProbes));
  const adapter = gpu.adapter.description || gpu.adapter.device;
  gpu.close();
  return { spent, firstPass, bufferBytes: liveBytes, peakResidentBytes: peak, adapter };
}

process.send!(await turn(JSON.parse(process.argv[2]!) as LoadTurn), () => process.exit(0));
