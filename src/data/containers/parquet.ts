/**
 * Parquet files, one row group after the other: a row group, unpacked, is what memory holds.
 *
 * @module
 */

import { SubzeroError } from '../../errors.ts';
import { type FileHandle, open } from '../../platform/index.ts';
import { asReadError } from '../packing.ts';
import type { OnRead } from '../read-progress.ts';
import { makeRow, type Row, rowError } from '../row.ts';

/** Most bytes of a row group, unpacked; writers make far smaller ones. */
const maxGroupBytes = 2 ** 30;

/**
 * What a file says of itself, without reading a row. @throws SubzeroError `invalid_data` for what is no Parquet file
 */
export async function describeParquet(path: string): Promise<{ rows: number; columns: string[] }> {
  return withParquet(path, async ({ metadata, library }) => ({
    rows: Number(metadata.num_rows),
    columns: library.parquetSchema(metadata).children.map(({ element }) => element.name),
  }));
}

/**
 * The rows. Whole numbers of 64 bits become numbers where these can hold them and texts where not, times become texts
 * (ISO 8601), lists and structures lists and objects.
 * @throws SubzeroError `invalid_data` that names the file, and the row group where one cannot be read
 */
export async function* readParquet(path: string, onRead?: OnRead): AsyncGenerator<Row> {
  const handle = await openFile(path);
  try {
    const parquet = await openParquet(path, handle);
    const { file, metadata, library, compressors } = parquet;
    let start = 0;
    for (const group of metadata.row_groups) {
      const end = start + Number(group.num_rows);
      const place = { source: `${path} (rows ${start + 1} to ${end})` };
      const bytes = Number(group.total_byte_size);
      if (bytes > maxGroupBytes) {
        throw rowError(
          place,
          `the row group has ${bytes} bytes, and at most ${maxGroupBytes} are read at once; write smaller row groups`,
        );
      }
      const rows = await library
        .parquetReadObjects({ file, metadata, compressors, rowStart: start, rowEnd: end })
        .catch((error: Error) => {
          throw rowError(place, `the row group cannot be read: ${error.message}`);
        });
      for (const [index, value] of rows.entries()) {
        onRead?.((file.byteLength * (start + index)) / Number(metadata.num_rows));
        yield makeRow(plainValue(value) as Record<string, unknown>, `${path} (row ${start + index + 1})`);
      }
      start = end;
    }
  } finally {
    await handle.close();
  }
}

async function withParquet<T>(
  path: string,
  use: (parquet: Awaited<ReturnType<typeof openParquet>>) => Promise<T>,
): Promise<T> {
  const handle = await openFile(path);
  try {
    return await use(await openParquet(path, handle));
  } finally {
    await handle.close();
  }
}

function openFile(path: string): Promise<FileHandle> {
  return open(path, 'r').catch((error) => {
    throw asReadError(path, error);
  });
}

async function openParquet(path: string, handle: FileHandle) {
  const library = await import('hyparquet');
  const { compressors } = await import('hyparquet-compressors');
  const { size } = await handle.stat();
  const file = {
    byteLength: size,
    async slice(start: number, end = size): Promise<ArrayBuffer> {
      const bytes = new Uint8Array(end - start);
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done);
        if (bytesRead === 0) throw new SubzeroError('invalid_data', `${path} ends before byte ${end}`);
        done += bytesRead;
      }
      return bytes.buffer;
    },
  };
  const metadata = await library.parquetMetadataAsync(file).catch((error: Error) => {
    throw rowError({ source: path }, `not a Parquet file that can be read: ${error.message}`);
  });
  return { file, metadata, library, compressors };
}

/** A value as JSON would have it. */
function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) return Array.from(value as Uint8Array, plainValue);
  if (Array.isArray(value)) return value.map(plainValue);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plainValue(each)]));
}
