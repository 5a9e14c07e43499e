/**
 * The adapter that a LoRA run begins with, instead of pairs that change nothing; its journal's header says which.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Decoder } from '../model/decoder.ts';
import { resolve } from '../platform/index.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { schemes, schemesThat } from '../settings/schemes.ts';
import type { Adapter } from '../tuning/adapter.ts';
import { parameter, words } from '../words.ts';
import type { JournalHeader } from '../zo/journal.ts';

/** What the header's `extra` says of it. */
export interface StartRecord {
  startAdapter?: { path: string; fingerprint: string };
}

/**
 * Reads the adapter of a run that begins.
 * @throws SubzeroError `invalid_argument` for a scheme that adds no pairs
 */
export async function startAdapter(
  directory: string | undefined,
  decoder: Decoder,
  { scheme }: Pick<TrainConfiguration, 'scheme'>,
): Promise<{ adapter?: Adapter; record: StartRecord }> {
  if (directory === undefined) return { record: {} };
  if (schemes[scheme].adds !== 'pairs') {
    const needed = schemesThat(({ adds }) => adds === 'pairs').join(' or ');
    const problem = words`an adapter is the start of a run with ${parameter('scheme')} ${needed}`;
    throw new SubzeroError('invalid_argument', words`${parameter('lora')}: ${problem}; got ${scheme}`, {
      parameter: 'lora',
    });
  }
  const path = resolve(directory);
  const { fingerprintPeft, readPeftLora } = await import('../tuning/peft-lora.ts');
  const adapter = await readPeftLora(path, decoder);
  if ([...adapter.lora!.values()].some(({ gain }) => gain !== undefined)) {
    const problem = `${path} is a DoRA, whose magnitudes cannot be trained here; it can be applied`;
    throw new SubzeroError('unsupported', words`${parameter('lora')}: ${problem}`, { parameter: 'lora' });
  }
  return { adapter, record: { startAdapter: { path, fingerprint: await fingerprintPeft(path) } } };
}

/**
 * The adapter that a run began with, if it began with one.
 * @throws SubzeroError `conflict` where it is not the same any more
 */
export async function startAdapterOfRun(
  folder: string,
  { extra }: Pick<JournalHeader, 'extra'>,
  decoder: Decoder,
): Promise<Adapter | undefined> {
  const { startAdapter: record } = extra as StartRecord;
  if (!record) return undefined;
  const { fingerprintPeft, readPeftLora } = await import('../tuning/peft-lora.ts');
  const adapter = await readPeftLora(record.path, decoder);
  if ((await fingerprintPeft(record.path)) === record.fingerprint) return adapter;
  throw new SubzeroError(
    'conflict',
    `the adapter ${record.path}, with which ${folder} began, has changed since; put the old one back`,
    { parameter: 'lora' },
  );
}
