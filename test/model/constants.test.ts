/** Constants that files hold as tensors: taken along where they are those of the class, refused otherwise. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { leftOutTensors, matchTensors } from '../../src/model/checkpoint-tensors.ts';
import { openWeights, readConfigurationFile } from '../../src/model/load.ts';
import { type Parity, writeCheckpoint } from '../parity/checkpoint.ts';

const { cases } = JSON.parse(readFileSync(new URL('../parity/parity.json', import.meta.url), 'utf8')) as Parity;
const apertus = cases.find(({ name }) => name === 'apertus: tied, BF16, shards')!;

async function match(beta?: Uint8Array<ArrayBuffer>) {
  const directory = mkdtempSync(join(tmpdir(), 'subzero-constants-'));
  try {
    await writeCheckpoint(directory, apertus);
    const decoder = await readConfigurationFile(directory);
    const source = await openWeights(directory);
    const read: typeof source.read = async (name, ...range) =>
      beta && name === 'model.layers.1.mlp.act_fn.beta' ? beta : await source.read(name, ...range);
    try {
      const given = { tensors: source.tensors, read } as unknown as typeof source;
      return { ...(await matchTensors(directory, decoder, given)), others: leftOutTensors(decoder, given) };
    } finally {
      await source.close();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test('the constants of xIELU are no parameters, and exports have them', async () => {
  const { parameters, others, warnings } = await match();
  expect(warnings).toEqual([]);
  expect(parameters.filter(({ name }) => /act_fn/.test(name))).toHaveLength(6);
  expect(parameters.filter(({ name }) => /beta|eps$/.test(name))).toEqual([]);
  expect(others.map(({ name }) => name).filter((name) => /act_fn\.(beta|eps)$/.test(name))).toHaveLength(6);
});

test('another constant is refused with its value', async () => {
  // 0.25 as BF16.
  await expect(match(Uint8Array.of(0x80, 0x3e))).rejects.toThrow(
    '"model.layers.1.mlp.act_fn.beta" holds 0.25; the only',
  );
});
