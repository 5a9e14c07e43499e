/**
 * What an experiment is: a question, cells that are measured one by one, and a report of what came out.
 *
 * @module
 */

import type { DataSource } from '../data/source.ts';
import type { Split } from '../data/tasks/task.ts';
import type { Engine } from '../engine/types.ts';
import type { ReadingSettings } from '../settings/settings.ts';

/** What somebody wants to know. Lists are in the order in which they are measured. */
export interface ExperimentRequest {
  /** A model directory. */
  model: string;
  data: DataSource;
  validation?: DataSource;
  /** How rows are read; as the settings say by default. */
  reading?: Partial<ReadingSettings>;
  seeds: readonly number[];
  /** Steps of a training run; an experiment's own default otherwise. */
  steps?: number;
  /** Values of what the experiment varies; its own defaults otherwise. */
  ranks?: readonly number[];
  refreshes?: readonly number[];
  optimizers?: readonly string[];
  schemes?: readonly string[];
  learningRates?: readonly number[];
  /** Steps of tuning after which the model is looked at; 0 is the model as it is. */
  stages?: readonly number[];
  /** Names of tasks, each of which has a folder in that of the data. */
  tasks?: readonly string[];
  /** Examples of a step; as the settings say by default. */
  batchSize?: number;
  /** Examples of an evaluation; all by default. */
  limit?: number;
}

/** What one measurement is of: names and values that tell it from all others of the experiment. */
export type Cell = Readonly<Record<string, string | number | boolean>>;

/** A measured cell: a line of cells.jsonl. */
export interface Finished<Result = unknown> {
  cell: Cell;
  result: Result;
  seconds: number;
}

/** What a cell is measured with. */
export interface Laboratory {
  engine: Engine;
  request: ExperimentRequest;
  /** A folder for the cell's files, which is removed after it. */
  folder: string;
  /** A folder that stays for the cells after it, and for the same command after an interruption. */
  kept: string;
  signal: AbortSignal;
}

/** A part of a report. */
export interface Section {
  title: string;
  text?: string;
  table?: { header: readonly string[]; rows: readonly (readonly string[])[] };
  /** An SVG document, written under this name. */
  plot?: { name: string; svg: string; describes: string };
}

export interface Report {
  /** What came out, in a sentence or two. */
  lead: string;
  sections: readonly Section[];
}

export interface Experiment<Result = unknown> {
  title: string;
  /** The question, in a sentence. */
  question: string;
  /** What it takes and how it is measured, for the report. */
  method: string;
  /** Which options it reads besides model, data and seeds. */
  reads: readonly (keyof ExperimentRequest)[];
  /**
   * What was measured otherwise by earlier versions of the experiment, one after the other, in words that go on from
   * "then". Folders of theirs are not gone on with.
   */
  earlier?: readonly string[];
  /** Parts of the data whose files are looked for before anything is measured. */
  data?: readonly Split[];
  /** The sources of these parts, where they are not those of the request. */
  sources?(request: ExperimentRequest): Promise<readonly DataSource[]>;
  /**
   * The cells, in the order of measurement. May name more of them when some are finished.
   * @throws SubzeroError `invalid_argument` for what it cannot measure
   */
  cells(request: ExperimentRequest, finished: readonly Finished<Result>[]): Cell[] | Promise<Cell[]>;
  measure(laboratory: Laboratory, cell: Cell): Promise<Result>;
  report(request: ExperimentRequest, finished: readonly Finished<Result>[]): Report | Promise<Report>;
}

/** An experiment whose report sees results of the type that its cells give. */
export function defineExperiment<Result>(experiment: Experiment<Result>): Experiment {
  // Results pass through a file in between, from which they come back as they were.
  return experiment as Experiment;
}
