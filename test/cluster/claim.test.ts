import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { knownEpochOf, knownNameOf, nameOf, noteClaim, takeLease } from '../../src/cluster/claim.ts';
import { type Announcement, encode } from '../../src/cluster/protocol.ts';

let folder: string;
let file: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'subzero-claim-'));
  file = join(folder, 'cluster.json');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a run keeps the name that it got when it was first shared', async () => {
  expect(await knownNameOf(folder)).toBeUndefined();
  const name = await nameOf(folder);
  expect(name).toMatch(/^subzero-claim-\w+-[0-9a-f]{8}$/);
  expect(await nameOf(folder)).toBe(name);
  expect(await knownEpochOf(folder)).toBeUndefined();
  await noteClaim(folder, { run: name, epoch: 7 });
  expect([await nameOf(folder), await knownEpochOf(folder)]).toEqual([name, 7]);
});

// A process that is killed between these turns leaves what they see.
test('the file is whole at any moment of being written', async () => {
  const seen = new Set<number>();
  for (let epoch = 1; epoch <= 30; epoch++) {
    let isDone = false;
    const writing = noteClaim(folder, { run: 'a', epoch }).finally(() => {
      isDone = true;
    });
    while (!isDone) {
      if (epoch > 1) seen.add((JSON.parse(readFileSync(file, 'utf8')) as { epoch: number }).epoch);
      await setImmediate();
    }
    await writing;
  }
  expect(seen.size).toBeGreaterThan(1);
});

test.each(['', '{"run": 1}', '{"run": "a", "epoch": "2"}', 'null'])('%j is refused with what to do', async (text) => {
  writeFileSync(file, text);
  for (const read of [knownNameOf, knownEpochOf, nameOf]) {
    await expect(read(folder)).rejects.toThrow(/cluster\.json: expected the run's name .*repair it .*or delete it/);
  }
});

test('a run that is stopped does not wait for the lease of another coordinator', async () => {
  const announcement: Announcement = {
    ...{ run: 'a', owner: 'elsewhere:1', epoch: 1, deadline: 30 },
    ...{ baseFingerprint: 'b', dataFingerprint: 'd', rows: 8, probesAtOnce: 2 },
  };
  const stop = new AbortController();
  let asked = 0;
  const bus = {
    takeLease: async () => undefined,
    leaseOf: async () => {
      if (++asked === 2) stop.abort();
      return encode('announcement', announcement);
    },
    giveUpLease: async () => {},
  };
  await expect(takeLease(bus, announcement, stop.signal)).rejects.toMatchObject({
    code: 'cancelled',
    message: 'the run was stopped while it waited for elsewhere:1, which trained it last',
  });
  expect(asked).toBe(2);
});
