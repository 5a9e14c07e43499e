/**
 * Making folders.
 *
 * @module
 */

import { dirname, mkdir, stat } from './platform/index.ts';

/**
 * Makes a folder and its parents, which others may be making too. Node's own `recursive` never returns where a parent
 * refuses children with ENOENT, as /proc does.
 *
 * @param mode permissions of those that are made
 */
export async function makeFolders(folder: string, mode = 0o777): Promise<void> {
  const failure = await makeFolder(folder, mode);
  if (!failure) return;
  if ((failure as { code?: string }).code !== 'ENOENT') throw failure;
  if (!(await stat(dirname(folder)).catch(() => undefined))) await makeFolders(dirname(folder), mode);
  const again = await makeFolder(folder, mode);
  if (again) throw again;
}

/** @returns why there is no such folder, if there is none */
async function makeFolder(folder: string, mode: number): Promise<unknown> {
  try {
    await mkdir(folder, { mode });
    return undefined;
  } catch (error) {
    const { code } = error as { code?: string };
    return code === 'EEXIST' && (await stat(folder)).isDirectory() ? undefined : error;
  }
}
