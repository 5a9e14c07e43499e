/**
 * What the name of a GGUF file says, for those who import its readers only where there is one.
 *
 * @module
 */

import { basename } from '../platform/index.ts';

/** `NAME-00001-of-00003.gguf` */
export const shardName = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;

/** Whether a path names a GGUF file. */
export function isGgufPath(path: string): boolean {
  return /\.gguf$/i.test(path);
}

/** What people call the model of a GGUF file: its name without the ending and the number of a shard. */
export function ggufModelName(path: string): string {
  const name = basename(path);
  return shardName.exec(name)?.[1] ?? name.replace(/\.gguf$/i, '');
}
