/**
 * The examples of a run as a file of the cluster: JSON, one on each line, of which few are in memory at once.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { ExampleStore } from '../data/example-store.ts';
import { SubzeroError } from '../errors.ts';
import type { Bus } from './bus.ts';
import { decode } from './protocol.ts';
import { isSnapshotFile, isSnapshotOf } from './snapshot.ts';

/** Characters that are sent at once. */
const pieceLength = 64 * 1024;

/** The name of the file in the store. */
export function examplesFile(fingerprint: string): string {
  return `examples-${fingerprint}.jsonl`;
}

/**
 * Removes the examples of runs that nobody trains, those of coordinators that died among them: the storage is bounded
 * by what is being trained, and whoever takes a run up puts its file there again. Snapshots go with the run's journal.
 * Does nothing while the server is away.
 */
export async function removeUnusedFiles(bus: Bus): Promise<void> {
  try {
    // The list is made first, so that a file which comes with a lease taken meanwhile is not on it.
    const names = await bus.files.names();
    const runs = await bus.runs();
    const leases = (await bus.leases()).map((data) => decode('announcement', data));
    const used = new Set(leases.map(({ dataFingerprint }) => examplesFile(dataFingerprint)));
    for (const name of names) {
      if (isSnapshotFile(name) ? !isSnapshotOf(name, runs) : !used.has(name)) await bus.files.remove(name);
    }
  } catch {
    // The next run that ends does it.
  }
}

/** The pieces of the file. */
export function* encodeExamples(examples: Iterable<TokenizedExample>): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  let text = '';
  for (const example of examples) {
    text += `${JSON.stringify(example)}\n`;
    if (text.length < pieceLength) continue;
    yield encoder.encode(text);
    text = '';
  }
  if (text !== '') yield encoder.encode(text);
}

/**
 * The examples of a file, wherever its pieces are cut; those that do not fit memory read themselves from a file.
 * @throws SubzeroError `invalid_data` for anything but lines of JSON
 */
export async function decodeExamples(pieces: AsyncIterable<Uint8Array>): Promise<TokenizedExample[]> {
  const store = new ExampleStore();
  const examples: TokenizedExample[] = [];
  const decoder = new TextDecoder();
  let rest = '';
  for await (const piece of pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
    rest = lines.pop()!;
    for (const line of lines) examples.push(store.keep(parse(line)));
  }
  if (rest !== '')
    throw new SubzeroError('invalid_data', "the cluster's file of examples ends in the middle of a line");
  return examples;
}

function parse(line: string): TokenizedExample {
  try {
    return JSON.parse(line) as TokenizedExample;
  } catch (error) {
    throw new SubzeroError('invalid_data', "a line of the cluster's file of examples is not JSON", { cause: error });
  }
}
