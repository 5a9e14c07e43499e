/**
 * Event files for TensorBoard: TFRecord frames around hand-made Event messages.
 *
 * A frame is the length of its data (u64), the masked CRC-32C of the length, the data, and the masked CRC-32C of the
 * data, little-endian. Of the Event message (tensorflow/core/util/event.proto) this writes wall_time = 1, step = 2,
 * file_version = 3, summary = 5 and session_log = 7.
 *
 * @module
 */

import { snakeCase } from '../../format.ts';
import { type FileHandle, join, open } from '../../platform/index.ts';
import { diskError, writeFully } from '../../safetensors/disk.ts';
import type { KeptEvent, RunSink, SinkRun } from './sink.ts';

export interface EventFile extends RunSink {
  readonly file: string;
}

/** An event file, for a run that wants one. @throws SubzeroError as {@link openEventFile} */
export async function openBoardSink({ folder, configuration, step }: SinkRun): Promise<EventFile | undefined> {
  return configuration.tensorboard ? openEventFile(folder, step) : undefined;
}

/**
 * Starts an event file. Each process that goes on with a run has one of its own; TensorBoard reads them in the order of
 * their names.
 *
 * @param lastStep steps done so far; what earlier files hold of later ones is taken back
 * @param now seconds since 1970
 * @throws SubzeroError `io` or `not_found` if it cannot be made
 */
export async function openEventFile(
  folder: string,
  lastStep: number,
  now: () => number = () => Date.now() / 1000,
): Promise<EventFile> {
  const { file, handle } = await openNew(folder, Math.floor(now()));
  const write = (fields: number[]) => writeFully(handle, file, 0, frame(Uint8Array.from(fields)));
  try {
    await write([...double(1, now()), ...text(3, 'brain.Event:2')]);
    await write([...double(1, now()), ...whole(2, lastStep + 1), ...message(7, whole(1, sessionStart))]);
  } catch (error) {
    await handle.close();
    throw error;
  }
  let closed = false;
  return {
    file,
    async take(event) {
      if (event.type === 'message') return;
      const summary = Object.entries(scalarsOf(event)).flatMap(([tag, value]) =>
        value === null ? [] : message(1, [...text(1, tag), ...float(2, value)]),
      );
      await write([...double(1, now()), ...whole(2, event.step), ...message(5, summary)]);
    },
    finish: async () => {},
    async close() {
      if (closed) return;
      closed = true;
      await handle.close();
    },
  };
}

/** SessionLog.SessionStatus.START. */
const sessionStart = 1;

function scalarsOf(event: Exclude<KeptEvent, { type: 'message' }>): Record<string, number | null> {
  if (event.type === 'evaluation') {
    return {
      'validation/loss': event.loss,
      'validation/accuracy': event.accuracy,
      'validation/f1': event.f1,
      'validation/exact_match': event.exactMatch,
      ...tagged('validation', event.measures),
    };
  }
  if (event.type === 'cluster') {
    return Object.fromEntries(
      event.members.flatMap(({ name, tokensPerSecond, waitingShare }) => [
        [`cluster/${name}/tokens_per_second`, tokensPerSecond],
        [`cluster/${name}/waiting_share`, waitingShare],
      ]),
    );
  }
  return {
    'train/loss': event.loss,
    'train/accuracy': event.accuracy,
    'train/learning_rate': event.learningRate,
    'train/projected_gradient': event.projectedGradient,
    'train/tokens_per_second': event.tokensPerSecond,
    ...tagged('train', event.measures),
  };
}

function tagged(group: string, measures: Readonly<Record<string, number>> = {}): Record<string, number> {
  return Object.fromEntries(Object.entries(measures).map(([name, value]) => [`${group}/${snakeCase(name)}`, value]));
}

/** A file that was not there before: two processes may begin in the same second. */
async function openNew(folder: string, seconds: number): Promise<{ file: string; handle: FileHandle }> {
  for (let attempt = 0; ; attempt++) {
    const file = join(folder, `events.out.tfevents.${seconds}.subzero.${attempt}`);
    try {
      // Appends, so that positions do not matter.
      return { file, handle: await open(file, 'ax') };
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EEXIST') throw diskError(error, file, 'create');
    }
  }
}

// Protocol buffers: a field is its number and wire type in a varint, then its value.

const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return [...bytes, rest];
}

const key = (field: number, type: number): number[] => varint(field * 8 + type);
const whole = (field: number, value: number): number[] => [...key(field, wire.varint), ...varint(value)];
const message = (field: number, content: Iterable<number>): number[] => {
  const bytes = [...content];
  return [...key(field, wire.bytes), ...varint(bytes.length), ...bytes];
};
const text = (field: number, value: string): number[] => message(field, new TextEncoder().encode(value));

function double(field: number, value: number): number[] {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value, true);
  return [...key(field, wire.fixed64), ...new Uint8Array(view.buffer)];
}

function float(field: number, value: number): number[] {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value, true);
  return [...key(field, wire.fixed32), ...new Uint8Array(view.buffer)];
}

/** A TFRecord frame. */
export function frame(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length + 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length, true);
  view.setUint32(8, masked(crc32c(bytes.subarray(0, 8))), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, masked(crc32c(data)), true);
  return bytes;
}

/** Checksums within checksummed data are rotated and shifted, so that they do not look like data. */
function masked(checksum: number): number {
  return (((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0;
}

/** The Castagnoli polynomial, reflected. */
const polynomial = 0x82f63b78;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
  return value;
});

/** CRC-32C (RFC 3720, appendix B.4). */
export function crc32c(data: Uint8Array): number {
  let checksum = 0xffffffff;
  for (const byte of data) checksum = table[(checksum ^ byte) & 0xff]! ^ (checksum >>> 8);
  return (checksum ^ 0xffffffff) >>> 0;
}
