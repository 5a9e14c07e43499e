/**
 * The folder for files that can be recreated.
 *
 * @module
 */

import { environmentVariables, homedir, join, operatingSystem } from '../platform/index.ts';

/**
 * SUBZERO_CACHE_DIR if it is set; otherwise `subzero` in the user's cache folder, which is %LOCALAPPDATA% on Windows
 * and XDG_CACHE_HOME or ~/.cache elsewhere.
 */
export function cacheDirectory(
  environment: Readonly<Record<string, string | undefined>> = environmentVariables,
  platform: string = operatingSystem,
): string {
  const own = environment.SUBZERO_CACHE_DIR;
  if (own) return own;
  const local = platform === 'win32' ? environment.LOCALAPPDATA : undefined;
  return join(local || environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'subzero');
}
