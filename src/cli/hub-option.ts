/**
 * Models by their names on the Hugging Face Hub, wherever a command takes the path of one.
 *
 * @module
 */

import { existsSync } from 'node:fs';
import { SubzeroError } from '../errors.ts';
import { formatBytes, formatDuration, plural } from '../format.ts';
import { adapterFiles, type FileChoice, modelFiles, theseFiles } from '../hub/choice.ts';
import { parseRepositoryName } from '../hub/repository.ts';
import type { PullProgress, ResolvedRepository } from '../hub/resolve.ts';
import { join } from '../platform/index.ts';
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
export async function localPath(context: Context, given: string, files: FileChoice = modelFiles): Promise<string> {
  if (existsSync(given)) return given;
  const name = parseRepositoryName(given);
  if (!name) return given;
  const choice = name.file === undefined ? files : theseFiles(name.file);
  try {
    const { directory } = await pull(context, given, choice, { refresh: false });
    return name.file === undefined ? directory : join(directory, name.file);
  } catch (error) {
    if (!(error instanceof SubzeroError)) throw error;
    throw new SubzeroError(error.code, `there is no folder ${given}, and: ${error.message}`, {
      ...(error.parameter ? { parameter: error.parameter } : {}),
      cause: error,
    });
  }
}

/** The folder of a LoRA, if one was given. */
export async function localAdapter(context: Context, given: string | undefined): Promise<string | undefined> {
  return given === undefined ? undefined : await localPath(context, given, adapterFiles);
}

/** Gets a repository, with its progress on standard error. @param given as {@link parseRepositoryName} reads it */
export async function pull(
  context: Context,
  given: string,
  files: FileChoice,
  { refresh }: { refresh: boolean },
): Promise<ResolvedRepository> {
  const { id, revision } = parseRepositoryName(given)!;
  const progress = createProgress(context, context.options.quiet);
  const started = context.now();
  const show = (state: PullProgress): void => {
    if (state.received > 0) progress.update(`${id}: ${describe(state, (context.now() - started) / 1000)}`);
  };
  try {
    return await context.resolveRepository({
      ...{ type: 'model', id, files, refresh, environment: context.environment },
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
