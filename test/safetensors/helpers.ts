import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { type ErrorCode, SubzeroError } from '../../src/errors.ts';

/** A directory that goes away when the test file is done. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'subzero-'));
  afterAll(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Lays out a file by hand, so that the reader's tests do not lean on the writer. */
export function layOut(header: string | Uint8Array, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

let counter = 0;

/** Writes bytes to a new file of `directory` and returns its path. */
export async function fileOf(directory: string, bytes: Uint8Array): Promise<string> {
  const file = join(directory, `${counter++}.safetensors`);
  await writeFile(file, bytes);
  return file;
}

/** Expects a SubzeroError with this code whose message holds all the parts. */
export async function expectFailure(promise: Promise<unknown>, code: ErrorCode, ...parts: string[]): Promise<void> {
  const error: unknown = await promise.then(
    () => 'no error',
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(SubzeroError);
  expect((error as SubzeroError).code).toBe(code);
  for (const part of parts) expect((error as SubzeroError).message).toContain(part);
}

/** A small seeded generator (mulberry32): whole numbers below `limit`. */
export function seededIntegers(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}
