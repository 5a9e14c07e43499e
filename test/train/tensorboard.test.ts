import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LocalEngine } from '../../src/engine/local.ts';
import type { KeptEvent } from '../../src/train/sinks/sink.ts';
import { crc32c, frame, openEventFile } from '../../src/train/sinks/tensorboard.ts';
import { collect, optionRows, quick, removeTemporary, temporaryFolder, tinyModel, writeRows } from './tiny.ts';

const folder = mkdtempSync(join(tmpdir(), 'subzero-board-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
  removeTemporary();
});

const ascii = (text: string) => new TextEncoder().encode(text);

/** The frames of a file, each with its checksums verified. */
function framesOf(file: string): Uint8Array[] {
  const bytes = readFileSync(file);
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const data = Uint8Array.from(bytes.subarray(at + 12, at + 12 + length));
    expect(Buffer.from(frame(data)).equals(bytes.subarray(at, at + 16 + length))).toBe(true);
    frames.push(data);
    at += 16 + length;
  }
  return frames;
}

/** A message's fields: numbers for varints, bytes for the rest. */
function fieldsOf(data: Uint8Array): [number, number | Uint8Array][] {
  const fields: [number, number | Uint8Array][] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = data[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < data.length) {
    const key = varint();
    const [field, type] = [key >> 3, key & 7];
    if (type === 0) {
      fields.push([field, varint()]);
      continue;
    }
    const length = type === 2 ? varint() : type === 1 ? 8 : 4;
    fields.push([field, data.slice(at, at + length)]);
    at += length;
  }
  return fields;
}

/** Step, and values by tag, of an event with a summary. */
function scalarsOf(data: Uint8Array): { step: number; values: Record<string, number> } {
  const fields = new Map(fieldsOf(data));
  const values = fieldsOf(fields.get(5) as Uint8Array).map(([, value]) => {
    const parts = new Map(fieldsOf(value as Uint8Array));
    const tag = new TextDecoder().decode(parts.get(1) as Uint8Array);
    return [tag, new DataView((parts.get(2) as Uint8Array).buffer).getFloat32(0, true)];
  });
  return { step: fields.get(2) as number, values: Object.fromEntries(values) };
}

test('CRC-32C has the known values', () => {
  expect(crc32c(ascii('123456789'))).toBe(0xe3069283);
  // RFC 3720, appendix B.4.
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
  expect(crc32c(new Uint8Array(0))).toBe(0);
});

test('the frame of the version event is that of TensorFlow, byte for byte', async () => {
  // wall_time 1.5e9 and file_version "brain.Event:2" as TensorBoard 2.21's RecordWriter frames them.
  const { file, close } = await openEventFile(folder, 0, () => 1.5e9);
  await close();
  expect(file).toBe(join(folder, 'events.out.tfevents.1500000000.subzero.0'));
  const bytes = readFileSync(file);
  const expected = '1800000000000000a37f4b22' + '09000000c00b5ad6411a0d627261696e2e4576656e743a32' + '4ca9a464';
  expect(bytes.subarray(0, 40).toString('hex')).toBe(expected);
});

test('steps and evaluations become scalars; a file is never written over', async () => {
  const one = await openEventFile(folder, 0, () => 2e9);
  const other = await openEventFile(folder, 299, () => 2e9);
  expect(other.file).not.toBe(one.file);
  const step: KeptEvent = {
    ...{ type: 'step', step: 300, steps: 400, loss: 0.5, accuracy: null, projectedGradient: -2 },
    ...{ learningRate: 0.25, tokensPerSecond: 8, elapsedSeconds: 1, etaSeconds: 1, trainedTokens: 1 },
  };
  await other.take(step);
  const pace = { stepsPerSecond: 1, lag: 0, bytesPerStep: 0, differs: false, refused: 0, shards: 1, adapter: 'a' };
  await other.take({
    ...{ type: 'cluster', step: 301, stepsPerSecond: 2, bytesPerStep: 9 },
    members: [{ ...pace, name: 'host:1', here: true, tokensPerSecond: 64, waitingShare: 0.25 }],
  });
  await other.take({
    type: 'evaluation',
    step: 70_000,
    examples: 1,
    loss: 0.125,
    accuracy: null,
    f1: 0.75,
    exactMatch: 0.5,
    tokens: 1,
    seconds: 1,
  });
  await one.close();
  await other.close();
  const [version, session, ...scalars] = framesOf(other.file);
  expect(new TextDecoder().decode(new Map(fieldsOf(version!)).get(3) as Uint8Array)).toBe('brain.Event:2');
  expect(new Map(fieldsOf(session!)).get(2)).toBe(300);
  expect(fieldsOf(new Map(fieldsOf(session!)).get(7) as Uint8Array)).toEqual([[1, 1]]);
  expect(scalars.map(scalarsOf)).toEqual([
    {
      step: 300,
      values: {
        ...{ 'train/loss': 0.5, 'train/learning_rate': 0.25 },
        ...{ 'train/projected_gradient': -2, 'train/tokens_per_second': 8 },
      },
    },
    { step: 301, values: { 'cluster/host:1/tokens_per_second': 64, 'cluster/host:1/waiting_share': 0.25 } },
    { step: 70_000, values: { 'validation/loss': 0.125, 'validation/f1': 0.75, 'validation/exact_match': 0.5 } },
  ]);
});

test('a run writes what its metrics say, and a resumed run a second file', async () => {
  const engine = await LocalEngine.open();
  const run = join(temporaryFolder(), 'run');
  const data = { file: writeRows(optionRows()) };
  const configuration = { ...quick, steps: 4, evaluateEvery: 2, tensorboard: true };
  const losses = new Map<string, number>();
  for await (const event of engine.train({ model: tinyModel(), data, validation: data, configuration, out: run })) {
    if (event.type === 'step' || event.type === 'evaluation') losses.set(`${event.type} ${event.step}`, event.loss);
    if (event.type === 'step' && event.step === 3) break;
  }
  for (const event of await collect(engine.train({ resume: run }))) {
    if (event.type === 'step' || event.type === 'evaluation') losses.set(`${event.type} ${event.step}`, event.loss);
  }
  await engine.close();
  const files = readdirSync(run)
    .filter((name) => name.startsWith('events.out.tfevents.'))
    .sort();
  expect(files).toHaveLength(2);
  const shown = files.flatMap((name) => framesOf(join(run, name)).slice(2)).map(scalarsOf);
  expect(shown.map(({ step }) => step)).toEqual([1, 2, 2, 3, 4, 4]);
  for (const { step, values } of shown) {
    const [kind, loss] =
      'train/loss' in values ? ['step', values['train/loss']] : ['evaluation', values['validation/loss']];
    expect(loss).toBe(Math.fround(losses.get(`${kind} ${step}`)!));
  }
});
