/**
 * Models by their names on the Hugging Face Hub, wherever a command takes the path of one.
 *
 * @module
 */

import { existsSync } from 'node:fs';
import { containerEnds, knownContainer } from '../data/containers/index.ts';
import type { DataSource, TaskDescription } from '../engine/types.ts';
import { SubzeroError } from '../errors.ts';
import { formatBytes, formatDuration, plural } from '../format.ts';
import { adapterFiles, type FileChoice, filesLike, modelFiles, theseFiles } from '../hub/choice.ts';
import { parseRepositoryName, type RepositoryType } from '../hub/repository.ts';
import type { PullProgress, ResolvedRepository } from '../hub/resolve.ts';
import { join } from '../platform/index.ts';
import { dataSource } from './data-options.ts';
import type { Host } from './host.ts';
import type { FlagOption } from './option.ts';
import { createProgress } from './progress.ts';

export const offlineOption = {
  name: 'offline',
  type: 'flag',
  description: 'download nothing: a model named as on the Hugging Face Hub must be in its cache (HF_HOME)',
  group: 'Model and data',
} as const satisfies FlagOption;

type Context = Host & { readonly options: { readonly quiet: boolean; readonly offline: boolean } };

/**
 * The path of what a command was given: a path as it is, if there is something; the folder in the cache of
 * `org/name[@revision]`, or the file of `org/name:file`, which are downloaded where they are not there.
 *
 * @param files what is wanted of a repository; a model by default
 */
export async function localPath(
  context: Context,
  given: string,
  files: FileChoice = modelFiles,
  type: RepositoryType = 'model',
): Promise<string> {
  if (existsSync(given)) return given;
  const name = parseRepositoryName(given);
  if (!name) return given;
  const choice = name.file === undefined ? files : theseFiles(name.file);
  try {
    const { directory } = await pull(context, given, choice, { refresh: false, type });
    return name.file === undefined ? directory : join(directory, name.file);
  } catch (error) {
    if (!(error instanceof SubzeroError)) throw error;
    throw new SubzeroError(error.code, `there is no folder ${given}, and: ${error.message}`, {
      ...(error.parameter ? { parameter: error.parameter } : {}),
      cause: error,
    });
  }
}

/**
 * The data that options name, see `dataSource`; where there is nothing at a path, it may be `org/name[@revision]` of a
 * data set, all of whose data files are meant, or `org/name:file`.
 */
export async function localData(
  context: Context,
  task: string | TaskDescription | undefined,
  given: string | undefined,
  option?: string,
): Promise<DataSource> {
  const source = dataSource(task, given, option);
  const path = 'task' in source ? source.directory : source.file;
  // What is named like a file of data is one, wherever it may be.
  const name = parseRepositoryName(path);
  if (!name || (name.file === undefined && knownContainer(path))) return source;
  const local = await localPath(context, path, dataFiles, 'dataset');
  return 'task' in source ? { ...source, directory: local } : { file: local };
}

/** The files that hold rows. */
const dataFiles = filesLike(new RegExp(`(${containerEnds.join('|').replaceAll('.', '\\.')})(\\.gz|\\.zst)?$`));

/** The folder of a LoRA, if one was given. */
export async function localAdapter(context: Context, given: string | undefined): Promise<string | undefined> {
  return given === undefined ? undefined : await localPath(context, given, adapterFiles);
}

/** Gets a repository, with its progress on standard error. @param given as {@link parseRepositoryName} reads it */
export async function pull(
  context: Context,
  given: string,
  files: FileChoice,
  { refresh, type = 'model' }: { refresh: boolean; type?: RepositoryType },
): Promise<ResolvedRepository> {
  const { id, revision } = parseRepositoryName(given)!;
  const progress = createProgress(context, context.options.quiet);
  const started = context.now();
  const show = (state: PullProgress): void => {
    if (state.received > 0) progress.update(`${id}: ${describe(state, (context.now() - started) / 1000)}`);
  };
  try {
    return await context.resolveRepository({
      ...{ type, id, files, refresh, environment: context.environment },
      ...(revision === undefined ? {} : { revision }),
      offline: context.options.offline,
      onProgress: show,
      onNote: (note) => progress.line(note),
    });
  } finally {
    progress.end();
  }
}

/** `3 of 9 files, 120.0 MiB of 1.2 GiB, 23.1 MiB/s, ETA 0:41` */
function describe({ bytes, totalBytes, received, files, totalFiles }: PullProgress, seconds: number): string {
  const speed = received / Math.max(seconds, 1e-3);
  const rest = bytes < totalBytes ? `, ETA ${formatDuration((totalBytes - bytes) / speed)}` : '';
  const size = `${formatBytes(bytes)} of ${formatBytes(totalBytes)}`;
  return `${files} of ${plural(totalFiles, 'file')}, ${size}, ${formatBytes(speed)}/s${rest}`;
}
