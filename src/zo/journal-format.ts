/**
 * The bytes of a journal. All numbers are little-endian.
 *
 * | Part   | Bytes | Content |
 * |--------|-------|---------|
 * | magic  | 16    | `subzero-journal ` |
 * | header | 4     | u32, format version |
 * |        | 4     | u32, length N of the JSON |
 * |        | N     | {@link JournalHeader} as JSON |
 * |        | 4     | CRC-32 of everything before |
 * | record | 4     | u32, step |
 * |        | 4     | f32, learning rate |
 * |        | 4·K   | f32, projected gradient ρ of each query |
 * |        | 4·K   | f32, curvature of each query; only of optimisers that record it (settings/methods.ts) |
 * |        | 4·K   | f32, what the update takes in the place of ρ; only where queries are aligned (alignment.ts) |
 * |        | 4     | f32, mean loss |
 * |        | 4     | CRC-32 of the record, continued from the CRC-32 before it |
 *
 * K and the optimiser are those of the header's configuration. With K = 1 a record has 20 bytes, of HiZOO 24. The
 * checksums form a chain: a record that is edited, or comes from another journal, does not fit between its neighbours
 * even if its own checksum was made anew.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { crc32 } from '../platform/index.ts';
import { resolveConfiguration, type TrainConfiguration } from '../settings/configuration.ts';
import { recordedBy, recordFields } from '../settings/methods.ts';
import { words } from '../words.ts';
import type { Measurement } from './optimizer.ts';
import { valuesPerQuery } from './probe-points.ts';

/** Everything that a run's result depends on, and where it came from. */
export interface JournalHeader {
  /** Version of this package that started the run. */
  packageVersion: string;
  /** Directory of the base model, as it was given. */
  basePath: string;
  /** Identity of the base weights, see `TensorSource.fingerprint`. */
  baseFingerprint: string;
  /** Identity of the training data. */
  dataFingerprint: string;
  configuration: TrainConfiguration;
  /** The GPU adapter and its driver, for people: bits are equal on the same adapter only. */
  adapter: string;
  /** Anything else worth keeping, as JSON. */
  extra: Record<string, unknown>;
}

/** What settings were that journals are silent about, where that is not today's default. */
const absentSettings = { learn: 'last', bankStorage: 'f32' } as const;

/** What one step did. */
export interface StepRecord extends Measurement {
  /** 1 for the first. */
  step: number;
  /** η of this step, an f32 value. */
  learningRate: number;
  /** Mean loss over the step's probes, rounded to f32. */
  loss: number;
}

const magic = new TextEncoder().encode('subzero-journal ');
const formatVersion = 1;

/** Magic, version and length. */
export const fixedHeaderBytes = magic.length + 8;

const checksumBytes = 4;

/** Far above any real header; a larger length field is damage. */
const maxHeaderJsonBytes = 16 * 1024 * 1024;

/** What decides the length of a record. */
export type RecordShape = Pick<TrainConfiguration, 'optimizer' | 'queries' | 'queryCombination'>;

/** Bytes of one record. */
export function recordBytes(shape: RecordShape): number {
  return 4 * (3 + shape.queries * valuesPerQuery(shape)) + checksumBytes;
}

/** The header's bytes, checksum included. */
export function encodeHeader(header: JournalHeader): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(fixedHeaderBytes + json.length + checksumBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(magic);
  view.setUint32(magic.length, formatVersion, true);
  view.setUint32(magic.length + 4, json.length, true);
  bytes.set(json, fixedHeaderBytes);
  const end = bytes.length - checksumBytes;
  view.setUint32(end, crc32(bytes.subarray(0, end)), true);
  return bytes;
}

/**
 * Length of the whole header, checksum included.
 * @param start the first {@link fixedHeaderBytes} bytes of the file, or fewer if it is shorter
 * @throws SubzeroError `invalid_data`, or `unsupported` for another version of the format.
 */
export function headerLength(start: Uint8Array, file: string): number {
  if (start.length < fixedHeaderBytes || magic.some((byte, i) => start[i] !== byte)) {
    throw invalid(file, 'expected a journal, which starts with "subzero-journal"; this is not one');
  }
  const view = new DataView(start.buffer, start.byteOffset);
  const version = view.getUint32(magic.length, true);
  if (version !== formatVersion) {
    throw new SubzeroError(
      'unsupported',
      `${file}: expected version ${formatVersion} of the journal format, got ${version}; ` +
        'use the version of subzero-webgpu that wrote it',
      { parameter: file },
    );
  }
  const jsonBytes = view.getUint32(magic.length + 4, true);
  if (jsonBytes > maxHeaderJsonBytes) throw invalid(file, `damaged header: a length of ${jsonBytes} bytes`);
  return fixedHeaderBytes + jsonBytes + checksumBytes;
}

/**
 * Reads the header.
 * @param bytes the whole header, as long as {@link headerLength} says
 * @returns the header and the checksum that the first record continues
 * @throws SubzeroError `invalid_data`, or `unsupported` if the configuration cannot be run by this version.
 */
export function decodeHeader(bytes: Uint8Array, file: string): { header: JournalHeader; checksum: number } {
  const end = bytes.length - checksumBytes;
  const checksum = new DataView(bytes.buffer, bytes.byteOffset).getUint32(end, true);
  if (crc32(bytes.subarray(0, end)) !== checksum) {
    throw invalid(file, 'the header does not match its checksum; the journal was edited or is damaged');
  }
  const header = parseHeader(new TextDecoder().decode(bytes.subarray(fixedHeaderBytes, end)), file);
  for (const field of ['packageVersion', 'basePath', 'baseFingerprint', 'dataFingerprint', 'adapter'] as const) {
    if (typeof header[field] !== 'string') throw invalid(file, `expected "${field}" in the header to be a string`);
  }
  for (const field of ['configuration', 'extra'] as const) {
    if (typeof header[field] !== 'object' || header[field] === null) {
      throw invalid(file, `expected "${field}" in the header to be an object`);
    }
  }
  try {
    return {
      header: { ...header, configuration: resolveConfiguration({ ...absentSettings, ...header.configuration }) },
      checksum,
    };
  } catch (error) {
    const why = error instanceof SubzeroError ? error.words : (error as Error).message;
    throw new SubzeroError('unsupported', words`${file}: this version cannot run the stored configuration: ${why}`, {
      parameter: file,
      cause: error,
    });
  }
}

function parseHeader(json: string, file: string): JournalHeader {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw invalid(file, `the header is not valid JSON: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null) throw invalid(file, 'expected the header to be an object');
  return value as JournalHeader;
}

/**
 * The bytes of one record.
 * @param previousChecksum the checksum of the record, or header, before it
 */
export function encodeRecord(record: StepRecord, previousChecksum: number): { bytes: Uint8Array; checksum: number } {
  const values = [record.projectedGradients, ...recordFields.map((field) => record[field] ?? [])].flat();
  const bytes = new Uint8Array(4 * (3 + values.length) + checksumBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, record.step, true);
  view.setFloat32(4, record.learningRate, true);
  for (const [index, value] of values.entries()) view.setFloat32(8 + 4 * index, value, true);
  const end = bytes.length - checksumBytes;
  view.setFloat32(end - 4, record.loss, true);
  const checksum = crc32(bytes.subarray(0, end), previousChecksum);
  view.setUint32(end, checksum, true);
  return { bytes, checksum };
}

/**
 * Reads one record.
 * @param bytes {@link recordBytes} of them
 * @returns nothing where they do not match their checksum
 */
export function decodeRecord(
  bytes: Uint8Array,
  shape: RecordShape,
  previousChecksum: number,
): { record: StepRecord; checksum: number } | undefined {
  const { queries } = shape;
  const fields = recordedBy(shape);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - checksumBytes;
  const checksum = view.getUint32(end, true);
  if (crc32(bytes.subarray(0, end), previousChecksum) !== checksum) return undefined;
  const values = (first: number): number[] =>
    Array.from({ length: queries }, (_, query) => view.getFloat32(8 + 4 * (first + query), true));
  const record: StepRecord = {
    step: view.getUint32(0, true),
    learningRate: view.getFloat32(4, true),
    projectedGradients: values(0),
    ...Object.fromEntries(fields.map((field, index) => [field, values((index + 1) * queries)])),
    loss: view.getFloat32(end - 4, true),
  };
  return { record, checksum };
}

/** What {@link decodeRecords} found. */
export interface DecodedRecords {
  records: StepRecord[];
  /** The checksum that the next record continues. */
  checksum: number;
  /** Bytes at the end that are the rest of an interrupted write. */
  tornBytes: number;
}

/**
 * Reads all records. A write that was interrupted leaves a short or wrong last record, or, if the machine went down,
 * blocks of zeros behind it; that is reported as torn. Anything else that does not verify is damage.
 * @param bytes everything behind the header
 * @throws SubzeroError `invalid_data` that names the step.
 */
export function decodeRecords(
  bytes: Uint8Array,
  shape: RecordShape,
  headerChecksum: number,
  file: string,
): DecodedRecords {
  const size = recordBytes(shape);
  const records: StepRecord[] = [];
  let checksum = headerChecksum;
  let at = 0;
  for (; at + size <= bytes.length; at += size) {
    const expected = records.length + 1;
    const decoded = decodeRecord(bytes.subarray(at, at + size), shape, checksum);
    if (!decoded) {
      if (bytes.subarray(at + size).some((byte) => byte !== 0)) {
        throw invalid(
          file,
          `the record of step ${expected} does not match its checksum and more records follow; ` +
            'the journal was edited or is damaged, restore it from a copy',
        );
      }
      break;
    }
    const { step } = decoded.record;
    if (step !== expected) throw invalid(file, `expected the record of step ${expected}, got step ${step}`);
    records.push(decoded.record);
    checksum = decoded.checksum;
  }
  return { records, checksum, tornBytes: bytes.length - at };
}

function invalid(file: string, reason: string): SubzeroError {
  return new SubzeroError('invalid_data', `${file}: ${reason}`, { parameter: file });
}
