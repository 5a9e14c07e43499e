/**
 * Conducts an experiment: measures the cells that are not in its folder yet, and writes the report.
 *
 * The folder holds experiment.json (the request), cells.jsonl (a line for each finished cell, on the disk before the
 * next one begins), report.md and its plots. A cell that was interrupted leaves nothing. What cells share, such as
 * models on the way, is in kept/ until all of them are measured.
 *
 * @module
 */

import { taskOf } from '../data/tasks/index.ts';
import type { Engine } from '../engine/types.ts';
import { SubzeroError } from '../errors.ts';
import { formatCount, formatDuration, plural } from '../format.ts';
import { join, mkdir, open, readFile, resolve, rm, writeFile } from '../platform/index.ts';
import { writeFully } from '../safetensors/disk.ts';
import { markdownTable } from '../table.ts';
import { packageVersion } from '../version.ts';
import { acquireLock } from '../zo/journal-lock.ts';
import { checkRead, commandText, givenFields } from './command-text.ts';
import { checkDataFiles } from './data-files.ts';
import type { Cell, Experiment, ExperimentRequest, Finished, Report, Section } from './experiment.ts';
import { parametersOf } from './search.ts';

export type ExperimentEvent =
  /** `otherwise`: what an earlier version measured otherwise in this folder, to which nothing is added. */
  | { type: 'start'; out: string; finished: number; cells: number; otherwise?: string }
  | { type: 'cell'; cell: Cell; number: number; cells: number }
  | { type: 'finished'; cell: Cell; result: unknown; seconds: number; done: number; cells: number; etaSeconds: number }
  | { type: 'done'; report: string; lead: string; complete: boolean };

interface Identity {
  experiment: string;
  /** Which version of the experiment measured the cells, from 2 on. */
  revision?: number;
  request: ExperimentRequest;
}

/** The name of a cell that no other one has. */
function nameOf(cell: Cell): string {
  return JSON.stringify(Object.entries(cell).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Conducts an experiment in a folder, or goes on with it there.
 * @throws SubzeroError `conflict` where the folder holds another experiment, or another process is at this one
 */
export async function* conduct(
  engine: Engine,
  { name, experiment, request, out }: { name: string; experiment: Experiment; request: ExperimentRequest; out: string },
  signal: AbortSignal,
): AsyncGenerator<ExperimentEvent> {
  const folder = resolve(out);
  await mkdir(folder, { recursive: true });
  const lock = await acquireLock(join(folder, 'experiment.lock'));
  try {
    const finished = await readCells(join(folder, 'cells.jsonl'));
    const identity = { experiment: name, ...revisionOf(experiment), request };
    const isNew = finished.length === 0;
    if (isNew) checkRead(name, experiment, request);
    const otherwise = await claim(folder, identity, isNew ? undefined : experiment.earlier);
    const names = new Set(finished.map(({ cell }) => nameOf(cell)));
    // Settings that are refused would be in the way of the next attempt, and what their cells share would be taken for
    // that of other ones.
    const release = async () => {
      if (finished.length > 0) return;
      await rm(join(folder, 'kept'), { recursive: true, force: true });
      await rm(join(folder, 'experiment.json'), { force: true });
    };
    let cells: Cell[];
    try {
      await checkDataFiles(request, experiment.data ?? []);
      cells = await experiment.cells(request, finished);
    } catch (error) {
      await release();
      throw error;
    }
    yield {
      ...{ type: 'start', out: folder, finished: finished.length, cells: cells.length },
      ...(otherwise === undefined ? {} : { otherwise }),
    };
    let spent = 0;
    let measured = 0;
    for (;;) {
      const index = cells.findIndex((cell) => !names.has(nameOf(cell)));
      const cell = cells[index];
      if (!cell || signal.aborted || otherwise !== undefined) break;
      yield { type: 'cell', cell, number: index + 1, cells: cells.length };
      const started = performance.now();
      const work = join(folder, 'work');
      const kept = join(folder, 'kept');
      await rm(work, { recursive: true, force: true });
      await mkdir(work);
      let result: unknown;
      try {
        result = await experiment.measure({ engine, request, folder: work, kept, signal }, cell);
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        await rm(work, { recursive: true, force: true });
        if (result === undefined) await release();
      }
      if (signal.aborted) break;
      const seconds = (performance.now() - started) / 1000;
      const line = { cell, result, seconds };
      await append(join(folder, 'cells.jsonl'), line);
      finished.push(line);
      names.add(nameOf(cell));
      spent += seconds;
      measured++;
      cells = await experiment.cells(request, finished);
      const left = cells.filter((each) => !names.has(nameOf(each))).length;
      const etaSeconds = (spent / measured) * left;
      yield { type: 'finished', cell, result, seconds, done: cells.length - left, cells: cells.length, etaSeconds };
    }
    await rm(join(folder, 'work'), { recursive: true, force: true });
    const complete = cells.every((cell) => names.has(nameOf(cell)));
    if (complete) await rm(join(folder, 'kept'), { recursive: true, force: true });
    if (finished.length === 0) return;
    const report = await experiment.report(request, finished);
    const { adapter } = await engine.info();
    await writeReport(
      folder,
      { name, experiment, request, finished, report, complete, otherwise },
      adapter.description || adapter.device,
    );
    yield { type: 'done', report: join(folder, 'report.md'), lead: report.lead, complete };
  } finally {
    await lock.release();
  }
}

/** The version of an experiment, where it is not the first. */
function revisionOf({ earlier = [] }: Pick<Experiment, 'earlier'>): { revision?: number } {
  return earlier.length === 0 ? {} : { revision: earlier.length + 1 };
}

/**
 * Makes the folder this experiment's.
 * @param earlier what was measured otherwise by earlier versions; none where nothing is measured in the folder
 * @returns what was measured otherwise then, where an earlier version of the experiment filled the folder
 * @throws SubzeroError `conflict` if it is another one's
 */
async function claim(folder: string, identity: Identity, earlier?: readonly string[]): Promise<string | undefined> {
  const file = join(folder, 'experiment.json');
  const text = `${JSON.stringify(identity, null, 2)}\n`;
  const before = await readFile(file, 'utf8').catch(() => undefined);
  if (before === undefined) {
    await writeFile(file, text);
  } else if (before !== text) {
    const { experiment, revision = 1, request } = JSON.parse(before) as Identity;
    const { revision: now = 1, ...own } = identity;
    if (revision < now && JSON.stringify({ experiment, request }) === JSON.stringify(own)) {
      if (earlier) return earlier.slice(revision - 1).join('; and then ');
      await writeFile(file, text);
      return undefined;
    }
    throw new SubzeroError(
      'conflict',
      `${folder} holds the experiment "${experiment}" with ` +
        `${experiment === identity.experiment ? 'other settings' : 'cells of its own'}; ` +
        'choose another folder with --out, or give the settings of its experiment.json',
      { parameter: 'out' },
    );
  }
}

async function readCells(file: string): Promise<Finished[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  // A last line without its end was being written when the process ended.
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole !== text) await writeFile(file, whole);
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Finished);
}

async function append(file: string, line: Finished): Promise<void> {
  const handle = await open(file, 'a');
  try {
    const bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
    await writeFully(handle, file, 0, bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeReport(
  folder: string,
  made: {
    name: string;
    experiment: Experiment;
    request: ExperimentRequest;
    finished: readonly Finished[];
    report: Report;
    complete: boolean;
    otherwise: string | undefined;
  },
  adapter: string,
): Promise<void> {
  const { name, experiment, request, finished, report, complete, otherwise } = made;
  for (const { plot } of report.sections) if (plot) await writeFile(join(folder, plot.name), plot.svg);
  const seconds = finished.reduce((sum, cell) => sum + cell.seconds, 0);
  const given = givenFields(request).join(' ');
  const source = 'task' in request.data ? `the task ${taskOf(request.data.task).name}` : request.data.file;
  const text = [
    `# ${experiment.title}`,
    report.lead,
    ...(otherwise === undefined
      ? []
      : [
          `**Measured by an earlier version of this experiment, so nothing is added here. Then ${otherwise}. ` +
            'Another folder measures it as is said below.**',
        ]),
    ...(complete || otherwise !== undefined
      ? []
      : ['**Not all cells are measured yet; the same command goes on with them.**']),
    `*${experiment.question}*`,
    // The method speaks of defaults.
    given === '' ? experiment.method : `${experiment.method} Given for this report: \`${given}\`.`,
    ...report.sections.map(sectionText),
    '## Circumstances',
    [
      `- model: ${request.model}${await sizeText(request.model)}; data: ${source}; seeds ${request.seeds.join(', ')}`,
      `- adapter: ${adapter}; version ${packageVersion()}`,
      `- ${plural(finished.length, 'cell')} in ${formatDuration(seconds)}; raw figures: cells.jsonl`,
      `- command: \`${commandText(name, request)}\``,
    ].join('\n'),
  ];
  await writeFile(join(folder, 'report.md'), `${text.join('\n\n')}\n`);
}

/** The number of a model's parameters as text, or nothing where its folder does not say it. */
async function sizeText(model: string): Promise<string> {
  const count = await parametersOf(model).catch(() => undefined);
  return count === undefined ? '' : ` (${formatCount(count)} parameters)`;
}

function sectionText({ title, text, table, plot }: Section): string {
  return [
    `## ${title}`,
    ...(text ? [text] : []),
    ...(plot ? [`![${plot.describes}](${plot.name})`] : []),
    ...(table ? [markdownTable(table.header, table.rows)] : []),
  ].join('\n\n');
}
