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
import { formatCount, formatDuration, plural } from '../format.ts';
import { join, mkdir, resolve, rm, writeFile } from '../platform/index.ts';
import { markdownTable } from '../table.ts';
import { packageVersion } from '../version.ts';
import { acquireLock } from '../zo/journal-lock.ts';
import { checkRead, commandText, givenFields } from './command-text.ts';
import { dataFiles, fileOfBoth } from './data-files.ts';
import type { Cell, Experiment, ExperimentRequest, Finished, Report, Section } from './experiment.ts';
import {
  appendCell,
  claim,
  claimInputs,
  disclaim,
  dropHalfLine,
  lockName,
  makeFolder,
  nameOf,
  readCells,
} from './folder.ts';
import { inputsOf } from './inputs.ts';
import { parametersOf } from './search.ts';

export type ExperimentEvent =
  /** `otherwise`: what an earlier version measured otherwise in this folder, to which nothing is added. */
  | { type: 'start'; out: string; finished: number; cells: number; otherwise?: string }
  | { type: 'cell'; cell: Cell; number: number; cells: number }
  | { type: 'finished'; cell: Cell; result: unknown; seconds: number; done: number; cells: number; etaSeconds: number }
  | { type: 'done'; report: string; lead: string; complete: boolean };

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
  await makeFolder(folder);
  const lock = await acquireLock(join(folder, lockName));
  try {
    const finished = await readCells(folder);
    const identity = { experiment: name, ...revisionOf(experiment), request };
    const isNew = finished.length === 0;
    if (isNew) checkRead(name, experiment, request);
    const otherwise = await claim(folder, identity, isNew ? undefined : experiment.earlier);
    await dropHalfLine(folder);
    const names = new Set(finished.map(({ cell }) => nameOf(cell)));
    // Settings that are refused would be in the way of the next attempt, and what their cells share would be taken for
    // that of other ones.
    const release = async () => {
      if (finished.length > 0) return;
      await rm(join(folder, 'kept'), { recursive: true, force: true });
      await disclaim(folder);
    };
    let cells: Cell[];
    try {
      const files = await dataFiles(experiment, request);
      cells = await cellsOf(experiment, request, finished);
      if (otherwise === undefined && !cells.every((cell) => names.has(nameOf(cell)))) {
        const inputs = await inputsOf(request.model, files);
        const others = await claimInputs(folder, identity, { inputs, measured: finished.length });
        if (others) await rm(join(folder, 'kept'), { recursive: true, force: true });
      }
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
      await appendCell(folder, line);
      finished.push(line);
      names.add(nameOf(cell));
      spent += seconds;
      measured++;
      cells = await cellsOf(experiment, request, finished);
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

/** The cells of an experiment, each once: given twice, or clipped to the same value, it is the same cell. */
async function cellsOf(
  experiment: Experiment,
  request: ExperimentRequest,
  finished: readonly Finished[],
): Promise<Cell[]> {
  const cells = await experiment.cells(request, finished);
  return [...new Map(cells.map((cell) => [nameOf(cell), cell])).values()];
}

/** The version of an experiment, where it is not the first. */
function revisionOf({ earlier = [] }: Pick<Experiment, 'earlier'>): { revision?: number } {
  return earlier.length === 0 ? {} : { revision: earlier.length + 1 };
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
  const isEvaluated = experiment.data?.includes('evaluation') && !experiment.sources;
  const both = isEvaluated ? await fileOfBoth(request).catch(() => undefined) : undefined;
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
    ...(both === undefined ? [] : [`**Runs were evaluated on the rows that they trained on: ${both}.**`]),
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
