/**
 * The table of timed plans on disk, one file for each adapter. It only saves time: a table that is damaged or of
 * another version counts as empty, and one that cannot be written is not kept.
 *
 * @module
 */

import { cacheDirectory } from '../gpu/cache-directory.ts';
import type { AdapterDescription, Arithmetic } from '../gpu/device.ts';
import { createHash, join, mkdir, processId, readFile, rename, rm, writeFile } from '../platform/index.ts';
import { packageVersion } from '../version.ts';
import { type MatmulPlans, readPlans } from './matmul-plans.ts';

/** What decides which kernels can run and are wanted. */
export interface TunedDevice {
  adapter: AdapterDescription;
  arithmetic: Arithmetic;
}

/** Identity of an adapter, its driver's version included where the description has it, and of what is wanted of it. */
function deviceText({ adapter, arithmetic }: TunedDevice): string {
  const { vendor, architecture, device, description } = adapter;
  return [vendor, architecture, device, description, ...(arithmetic === 'half' ? [arithmetic] : [])].join(' | ');
}

/** The file of an adapter's table. @param directory the user's cache folder by default */
export function planTableFile(device: TunedDevice, directory = cacheDirectory()): string {
  const identity = createHash('sha256').update(deviceText(device)).digest('hex').slice(0, 16);
  return join(directory, `kernels-${identity}.json`);
}

/** The plans of a table; none where there is no good one. */
export async function readPlanTable(file: string, device: TunedDevice): Promise<MatmulPlans> {
  try {
    const table = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    // Kernels change from version to version, and with them what is fast.
    if (table.packageVersion !== packageVersion() || table.adapter !== deviceText(device)) return new Map();
    return readPlans(table.matmul) ?? new Map();
  } catch {
    return new Map();
  }
}

/** Writes a table in one piece, so that nobody reads half of it. @returns whether that was possible */
export async function writePlanTable(file: string, device: TunedDevice, plans: MatmulPlans): Promise<boolean> {
  const table = {
    packageVersion: packageVersion(),
    adapter: deviceText(device),
    matmul: Object.fromEntries([...plans].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
  const temporary = `${file}.${processId}`;
  try {
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(temporary, `${JSON.stringify(table, null, 2)}\n`);
    await rename(temporary, file);
    return true;
  } catch {
    await rm(temporary, { force: true }).catch(() => undefined);
    return false;
  }
}
