/**
 * Where things are kept that can be made again.
 *
 * @module
 */

import { environmentVariables, homedir, join, operatingSystem } from '../platform/index.ts';

/**
 * SUBZERO_CACHE_DIR if set; otherwise `subzero` in the user's cache folder: %LOCALAPPDATA% on Windows, XDG_CACHE_HOME or ~/.cache elsewhere.
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
