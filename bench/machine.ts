/**
 * What a figure was measured on.
 *
 * @module
 */

import { existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** Adapter, processor and what of its instructions decides the speed of software adapters. */
export function machine(adapter: string): string {
  const file = '/proc/cpuinfo';
  const flags = existsSync(file) ? (/^flags\s*:(.*)$/m.exec(readFileSync(file, 'utf8'))?.[1]?.split(' ') ?? []) : [];
  const known = ['avx', 'avx2', 'avx512f', 'amx_tile'].filter((flag) => flags.includes(flag));
  const list = cpus();
  const model = (list[0]?.model ?? 'unknown processor').replace(/\s+/g, ' ').trim();
  const instructions = known.length > 0 ? ` (${known.join(', ')})` : '';
  return `${adapter}; ${list.length} × ${model}${instructions}; Node ${process.versions.node}`;
}
