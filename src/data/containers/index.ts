/**
 * The kinds of files that hold rows, by the ends of their names.
 *
 * @module
 */

import { readJsonLines } from '../lines.ts';
import { packedEnds, withoutPacking } from '../packing.ts';
import type { OnRead } from '../read-progress.ts';
import type { Row } from '../row.ts';
import { readDelimited } from './delimited.ts';
import { readJson } from './json.ts';
import { readParquet } from './parquet.ts';

export interface ReadOptions {
  columns?: readonly string[] | undefined;
  onRead?: OnRead | undefined;
}

export interface Container {
  name: string;
  /** What the names of its files end in, before the end of a packing. */
  ends: readonly string[];
  /** Whether it can be unpacked on the way; Parquet packs its own pages, and is read at places within the file. */
  packs: boolean;
  /**
   * The rows one after the other, each with its place.
   * @param options.columns the names of the columns of a file whose first row does not name them
   */
  rows(path: string, options?: ReadOptions): AsyncIterable<Row>;
}

/** The first is what a file with an unknown name is taken for. */
export const containers: readonly Container[] = [
  {
    name: 'JSON Lines',
    ends: ['.jsonl', '.ndjson'],
    packs: true,
    rows: (path, { onRead } = {}) => readJsonLines(path, undefined, onRead),
  },
  { name: 'JSON', ends: ['.json'], packs: true, rows: (path, { onRead } = {}) => readJson(path, onRead) },
  { name: 'CSV', ends: ['.csv'], packs: true, rows: (path, options) => readDelimited(path, 'csv', options) },
  { name: 'TSV', ends: ['.tsv'], packs: true, rows: (path, options) => readDelimited(path, 'tsv', options) },
  { name: 'Parquet', ends: ['.parquet'], packs: false, rows: (path, { onRead } = {}) => readParquet(path, onRead) },
];

/** All ends of names, without packings. */
export const containerEnds: readonly string[] = containers.flatMap(({ ends }) => ends);

/** In words, for help and errors. */
export const containerNames =
  `${containers.map(({ name }) => name).join(', ')}; all but Parquet also with ` + `${packedEnds.join(' or ')}`;

/** What a file is by its name, if that says it. */
export function knownContainer(path: string): Container | undefined {
  const plain = withoutPacking(path).toLowerCase();
  const found = containers.find(({ ends }) => ends.some((end) => plain.endsWith(end)));
  return found && (found.packs || plain.length === path.length) ? found : undefined;
}

/** The rows of a file, which is JSON Lines unless its name says otherwise. */
export function readRows(path: string, options: ReadOptions = {}): AsyncIterable<Row> {
  return (knownContainer(path) ?? containers[0]!).rows(path, options);
}
