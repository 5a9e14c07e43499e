import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { Worker } from 'node:worker_threads';
import { crc32 } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { type ErrorCode, SubzeroError } from '../../src/errors.ts';
import { defaultConfiguration } from '../../src/settings/configuration.ts';
import {
  createJournal,
  type JournalHeader,
  openJournal,
  resumeJournal,
  type StepRecord,
} from '../../src/zo/journal.ts';

const directory = await mkdtemp(join(tmpdir(), 'subzero-journal-'));
afterAll(() => rm(directory, { recursive: true, force: true }));

let counter = 0;
const newFile = () => join(directory, `${counter++}.journal`);

const headerOf = (queries = 1): JournalHeader => ({
  packageVersion: '0.1.0',
  basePath: 'examples/reviews-3m',
  baseFingerprint: 'ab'.repeat(32),
  dataFingerprint: 'cd'.repeat(32),
  configuration: { ...defaultConfiguration, queries, seed: 2 ** 53 - 1 },
  adapter: 'vendor, device, driver 1.2',
  extra: { task: 'sst2', tags: ['ü', 1] },
});

/** Awkward f32 values: neither short in decimal nor exact in f16. */
const recordOf = (step: number, queries = 1): StepRecord => ({
  step,
  learningRate: Math.fround(1e-6 * step),
  projectedGradients: Array.from({ length: queries }, (_, query) =>
    Math.fround(Math.sin(step + query) * 10 ** (step % 9)),
  ),
  loss: Math.fround(0.7 + 1 / step),
});

/** Writes a journal of some steps and returns its path. */
async function journalOf(steps: number, queries = 1): Promise<string> {
  const file = newFile();
  const writer = await createJournal(file, headerOf(queries), { sync: 'interval' });
  for (let step = 1; step <= steps; step++) await writer.append(recordOf(step, queries));
  await writer.close();
  return file;
}

/** A changed copy of a file. */
async function changed(file: string, change: (bytes: Uint8Array) => Uint8Array | undefined): Promise<string> {
  const copy = newFile();
  const bytes = new Uint8Array(await readFile(file));
  await writeFile(copy, change(bytes) ?? bytes);
  return copy;
}

async function expectFailure(promise: Promise<unknown>, code: ErrorCode, ...parts: string[]): Promise<void> {
  const error: unknown = await promise.then(
    () => 'no error',
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(SubzeroError);
  expect((error as SubzeroError).code).toBe(code);
  for (const part of parts) expect((error as SubzeroError).message).toContain(part);
}

describe('writing and reading', () => {
  test.each([1, 3, 128])('header and %i gradients a step come back bit for bit', async (queries) => {
    const journal = await openJournal(await journalOf(12, queries));
    expect(journal.header).toEqual(headerOf(queries));
    expect(journal.records).toEqual(Array.from({ length: 12 }, (_, i) => recordOf(i + 1, queries)));
    expect(journal.torn).toBeNull();
    expect(journal.recordBytes).toBe(16 + 4 * queries);
  });

  test('HiZOO has the curvature of each query beside its gradient, and no other optimiser has', async () => {
    const file = newFile();
    const header = headerOf(2);
    const writer = await createJournal(file, {
      ...header,
      configuration: { ...header.configuration, optimizer: 'hizoo' },
    });
    const record: StepRecord = { ...recordOf(1, 2), curvatures: [Math.fround(1e6 / 3), 0] };
    await expectFailure(writer.append(recordOf(1, 2)), 'invalid_argument', '2 curvatures in step 1', 'got 0');
    await expectFailure(writer.append({ ...record, curvatures: [1, 0.1] }), 'invalid_argument', 'f32 values', '0.1');
    await writer.append(record);
    await writer.close();
    const journal = await openJournal(file);
    expect(journal.records).toEqual([record]);
    expect(journal.recordBytes).toBe(32);

    const plain = await createJournal(newFile(), header);
    await expectFailure(plain.append(record), 'invalid_argument', '0 curvatures in step 1', 'got 2');
    await plain.close();
  });

  test('signed zeros, subnormals, infinities and NaN come back; the loss is rounded', async () => {
    const file = newFile();
    const writer = await createJournal(file, headerOf(6));
    const projectedGradients = [
      -0,
      2 ** -149,
      -(2 ** -126),
      3.4028234663852886e38,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
    ];
    await writer.append({ step: 1, learningRate: 0, projectedGradients, loss: 0.1 });
    await writer.close();
    expect((await openJournal(file)).records).toEqual([
      { step: 1, learningRate: 0, projectedGradients, loss: Math.fround(0.1) },
    ]);
  });

  test('a record is on the disk when append returns, and readable while the run goes on', async () => {
    const file = newFile();
    const writer = await createJournal(file, headerOf());
    for (let step = 1; step <= 3; step++) {
      await writer.append(recordOf(step));
      expect((await openJournal(file)).records.length).toBe(step);
      expect(writer.lastStep).toBe(step);
    }
    await writer.close();
    await writer.close();
    await expectFailure(writer.append(recordOf(4)), 'conflict', 'closed');
  });

  test('20 000 steps take 400 kB and are read at once', async () => {
    const file = await journalOf(20_000);
    expect((await stat(file)).size).toBeLessThan(405_000);
    const start = performance.now();
    expect((await openJournal(file)).records[19_999]).toEqual(recordOf(20_000));
    // Measured: 12 ms.
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test.each<[string, Partial<StepRecord>, string]>([
    ['step 0', { step: 0 }, 'expected step 1, got step 0'],
    ['a step left out', { step: 2 }, 'expected step 1, got step 2'],
    ['too few gradients', { projectedGradients: [1] }, 'expected 2 projected gradients'],
    ['too many gradients', { projectedGradients: [1, 2, 3] }, 'got 3'],
    ['a gradient that is no f32', { projectedGradients: [1, 0.1] }, 'Math.fround'],
    ['a learning rate that is no f32', { learningRate: 1e-6 }, 'Math.fround'],
  ])('%s is refused, and the right record is taken afterwards', async (_, wrong, part) => {
    const file = newFile();
    const writer = await createJournal(file, headerOf(2));
    await expectFailure(writer.append({ ...recordOf(1, 2), ...wrong }), 'invalid_argument', part);
    await writer.append(recordOf(1, 2));
    await writer.close();
    expect((await openJournal(file)).records).toEqual([recordOf(1, 2)]);
  });

  test('a second append before the first has ended is refused', async () => {
    const writer = await createJournal(newFile(), headerOf());
    const first = writer.append(recordOf(1));
    await expectFailure(writer.append(recordOf(2)), 'conflict', 'busy');
    await first;
    await writer.close();
  });
});

describe('resume', () => {
  test('goes on behind the last step', async () => {
    const file = await journalOf(3);
    const { journal, writer } = await resumeJournal(file);
    expect(journal.records.length).toBe(3);
    expect(writer.lastStep).toBe(3);
    await expectFailure(writer.append(recordOf(3)), 'invalid_argument', 'expected step 4');
    await writer.append(recordOf(4));
    await writer.close();
    // The same bytes as of a run without a stop.
    expect(await readFile(file)).toEqual(await readFile(await journalOf(4)));
  });

  test('a last record that is cut off at any byte is reported and removed', async () => {
    const whole = await journalOf(3);
    const size = (await stat(whole)).size;
    for (let kept = 0; kept < 20; kept++) {
      const file = await changed(whole, (bytes) => bytes.slice(0, size - 20 + kept));
      const torn = kept === 0 ? null : { atByte: size - 20, bytes: kept };
      const seen = await openJournal(file);
      expect(seen.torn).toEqual(torn);
      expect(seen.records.length).toBe(2);
      // Reading leaves the file alone.
      expect((await stat(file)).size).toBe(size - 20 + kept);
      const { journal, writer } = await resumeJournal(file);
      expect(journal.torn).toEqual(torn);
      expect((await stat(file)).size).toBe(size - 20);
      await writer.append(recordOf(3));
      await writer.close();
      expect(await readFile(file)).toEqual(await readFile(whole));
    }
  });

  test('a last record with any byte wrong is torn too', async () => {
    const whole = await journalOf(3);
    const size = (await stat(whole)).size;
    for (let at = size - 20; at < size; at++) {
      const file = await changed(whole, (bytes) => void (bytes[at]! ^= 1));
      expect((await openJournal(file)).torn).toEqual({ atByte: size - 20, bytes: 20 });
    }
  });

  test('zeros that a power failure left are torn, after a half record as well', async () => {
    const whole = await journalOf(3);
    const size = (await stat(whole)).size;
    const zeros = await changed(whole, (bytes) => Uint8Array.of(...bytes, ...new Uint8Array(4096)));
    expect(await openJournal(zeros)).toMatchObject({ torn: { atByte: size, bytes: 4096 } });
    const half = await changed(whole, (bytes) => Uint8Array.of(...bytes.subarray(0, -10), ...new Uint8Array(4096)));
    const { journal, writer } = await resumeJournal(half);
    expect(journal.torn).toEqual({ atByte: size - 20, bytes: 10 + 4096 });
    await writer.close();
    expect((await stat(half)).size).toBe(size - 20);
  });
});

describe('damage', () => {
  test('a wrong byte anywhere before the last record names its step', async () => {
    const whole = await journalOf(4);
    const size = (await stat(whole)).size;
    for (let at = size - 80; at < size - 20; at++) {
      const file = await changed(whole, (bytes) => void (bytes[at]! ^= 0x80));
      const step = Math.floor((at - (size - 80)) / 20) + 1;
      // A wrong checksum shows in the record that carries it.
      await expectFailure(openJournal(file), 'invalid_data', file, `step ${step} `);
      await expectFailure(resumeJournal(file), 'invalid_data', `step ${step} `);
      expect(existsSync(`${file}.lock`)).toBe(false);
    }
  });

  test('an edit with a checksum made anew is still found', async () => {
    const whole = await journalOf(4);
    const file = await changed(whole, (bytes) => {
      const view = new DataView(bytes.buffer);
      const record = bytes.length - 60;
      view.setFloat32(record + 8, 0, true);
      const before = view.getUint32(record - 4, true);
      view.setUint32(record + 16, crc32(bytes.subarray(record, record + 16), before), true);
    });
    await expectFailure(openJournal(file), 'invalid_data', 'step 3 ');
  });

  test('a record that is missing, twice or out of order is found', async () => {
    const whole = await journalOf(4);
    const part = (bytes: Uint8Array, from: number, to: number) =>
      bytes.subarray(bytes.length - 80 + 20 * from, bytes.length - 80 + 20 * to);
    for (const order of [
      [0, 2, 3],
      [0, 0, 1, 2, 3],
      [0, 2, 1, 3],
      [1, 2, 3],
    ]) {
      const file = await changed(whole, (bytes) =>
        Uint8Array.of(
          ...bytes.subarray(0, bytes.length - 80),
          ...order.flatMap((record) => [...part(bytes, record, record + 1)]),
        ),
      );
      await expectFailure(openJournal(file), 'invalid_data', 'checksum');
    }
  });

  test('records of another run do not fit', async () => {
    const file = newFile();
    const other = await createJournal(file, { ...headerOf(), adapter: 'another' });
    await other.close();
    const records = (await readFile(await journalOf(3))).subarray(-60);
    const mixed = await changed(file, (bytes) => Uint8Array.of(...bytes, ...records));
    await expectFailure(openJournal(mixed), 'invalid_data', 'step 1 ');
  });

  test('every wrong or missing byte of the header is found', async () => {
    const whole = await journalOf(0);
    const size = (await stat(whole)).size;
    for (let at = 0; at < size; at++) {
      const flipped = await changed(whole, (bytes) => void (bytes[at]! ^= 1));
      // The version is looked at first, so that a newer file is not called damaged.
      await expectFailure(openJournal(flipped), at >= 16 && at < 20 ? 'unsupported' : 'invalid_data', flipped);
      await expectFailure(openJournal(await changed(whole, (bytes) => bytes.slice(0, at))), 'invalid_data', directory);
    }
  });

  test('another version is unsupported', async () => {
    const file = await changed(await journalOf(1), (bytes) => void (bytes[16] = 9));
    await expectFailure(openJournal(file), 'unsupported', 'version 1', 'got 9');
    await expectFailure(resumeJournal(file), 'unsupported');
  });

  test('a configuration of another version is unsupported, broken fields are invalid', async () => {
    const withHeader = async (json: string) => {
      const text = new TextEncoder().encode(json);
      return await changed(await journalOf(0), (bytes) => {
        const header = Uint8Array.of(...bytes.subarray(0, 24), ...text, 0, 0, 0, 0);
        const view = new DataView(header.buffer);
        view.setUint32(20, text.length, true);
        view.setUint32(header.length - 4, crc32(header.subarray(0, -4)), true);
        return header;
      });
    };
    const header = headerOf();
    const newer = { ...header, configuration: { ...header.configuration, momentum: 1 } };
    await expectFailure(openJournal(await withHeader(JSON.stringify(newer))), 'unsupported', 'momentum');
    const { adapter: _, ...without } = header;
    await expectFailure(openJournal(await withHeader(JSON.stringify(without))), 'invalid_data', 'adapter');
    await expectFailure(
      openJournal(await withHeader(JSON.stringify({ ...header, extra: 1 }))),
      'invalid_data',
      'extra',
    );
    await expectFailure(openJournal(await withHeader('null')), 'invalid_data', 'object');
    await expectFailure(openJournal(await withHeader('{')), 'invalid_data', 'JSON');
  });
});

describe('files', () => {
  test('an existing journal is not overwritten', async () => {
    const file = await journalOf(2);
    const before = await readFile(file);
    await expectFailure(createJournal(file, headerOf()), 'conflict', file, 'exists');
    expect(await readFile(file)).toEqual(before);
    expect(existsSync(`${file}.lock`)).toBe(false);
  });

  test('a missing file or directory is named', async () => {
    await expectFailure(openJournal(newFile()), 'not_found', directory);
    const file = newFile();
    await expectFailure(resumeJournal(file), 'not_found', file);
    expect(existsSync(`${file}.lock`)).toBe(false);
    await expectFailure(createJournal(join(directory, 'none', 'a'), headerOf()), 'not_found', 'none');
    await expectFailure(openJournal(directory), 'io', directory);
  });

  // A file size limit stands for a full disk: the write that crosses it fails in the same way, half way through.
  test.runIf(process.platform === 'linux')(
    'a write that fails is an io error, and resuming repairs the end',
    async () => {
      const file = newFile();
      const script = `
      import { createJournal } from ${JSON.stringify(new URL('../../src/zo/journal.ts', import.meta.url).href)};
      process.on('SIGXFSZ', () => {});
      const writer = await createJournal(${JSON.stringify(file)}, ${JSON.stringify(headerOf())});
      const codes = [];
      for (let step = 1; step <= 200; step++) {
        const record = { step, learningRate: 0, projectedGradients: [1], loss: 1 };
        await writer.append(record).catch((error) => codes.push(error.code));
      }
      await writer.close();
      console.log(JSON.stringify({ codes: [...new Set(codes)], last: writer.lastStep, failures: codes.length }));`;
      const limited = spawnSync(
        'bash',
        ['-c', 'ulimit -f 2; exec "$0" --input-type=module --eval "$1"', process.execPath, script],
        { encoding: 'utf8' },
      );
      const result = JSON.parse(limited.stdout) as { codes: string[]; last: number; failures: number };
      expect(result.codes).toEqual(['io']);
      expect(result.last + result.failures).toBe(200);
      expect((await stat(file)).size).toBe(2048);
      const { journal, writer } = await resumeJournal(file);
      expect(journal.records.length).toBe(result.last);
      expect(journal.torn).not.toBeNull();
      await writer.append({ step: result.last + 1, learningRate: 0, projectedGradients: [1], loss: 1 });
      await writer.close();
      expect((await openJournal(file)).torn).toBeNull();
    },
  );
});

describe('following', () => {
  /** The steps that a follower sees, until it has seen some. */
  async function take(records: AsyncIterable<StepRecord>, count = Number.POSITIVE_INFINITY): Promise<StepRecord[]> {
    const seen: StepRecord[] = [];
    for await (const record of records) if (seen.push(record) >= count) break;
    return seen;
  }

  test('shows the steps that are there, then each that is appended, once, as the file has it', async () => {
    const file = await journalOf(3);
    const { writer } = await resumeJournal(file);
    const all = take(writer.follow());
    const late = take(writer.follow({ after: 4 }));
    // While the file is being read, and after.
    await writer.append(recordOf(4));
    expect(await take(writer.follow(), 4)).toHaveLength(4);
    await writer.append(recordOf(5));
    expect(await take(writer.follow(), 2)).toEqual((await openJournal(file)).records.slice(0, 2));
    await writer.append(recordOf(6));
    await writer.close();
    const { records } = await writer.read();
    expect(records.length).toBe(6);
    expect(await all).toEqual(records);
    expect(await late).toEqual(records.slice(4));
    // A closed one shows what it holds.
    expect(await take(writer.follow({ after: 2 }))).toEqual(records.slice(2));
  });

  test('ends when the signal is aborted, and a slow follower holds nobody up', async () => {
    const { writer } = await resumeJournal(await journalOf(1));
    const abort = new AbortController();
    const seen: number[] = [];
    let entered = (): void => {};
    const first = new Promise<void>((resolve) => {
      entered = resolve;
    });
    const following = (async () => {
      for await (const { step } of writer.follow({ signal: abort.signal })) {
        seen.push(step);
        entered();
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
    })();
    await first;
    for (let step = 2; step <= 5; step++) await writer.append(recordOf(step));
    abort.abort();
    await following;
    expect(seen[0]).toBe(1);
    expect(seen.length).toBeLessThan(5);
    expect(await take(writer.follow({ signal: AbortSignal.abort() }))).toEqual([]);
    await writer.close();
  });
});

describe('lock', () => {
  const lockOf = (fields: object) =>
    JSON.stringify({ pid: process.pid, host: hostname(), started: null, token: 'x', ...fields });

  test('a run in progress cannot be opened for writing a second time, and is free after close', async () => {
    const file = newFile();
    const writer = await createJournal(file, headerOf());
    await expectFailure(resumeJournal(file), 'conflict', `process ${process.pid}`, `${file}.lock`);
    await expectFailure(createJournal(file, headerOf()), 'conflict', 'in use');
    await writer.append(recordOf(1));
    await writer.close();
    expect(existsSync(`${file}.lock`)).toBe(false);
    await (await resumeJournal(file)).writer.close();
  });

  test('another thread of this process is kept out as well', async () => {
    const file = await journalOf(1);
    const { writer } = await resumeJournal(file);
    const worker = new Worker(
      `import(${JSON.stringify(new URL('../../src/zo/journal.ts', import.meta.url).href)})
        .then(({ resumeJournal }) => resumeJournal(${JSON.stringify(file)}))
        .then(() => 'opened', (error) => error.code)
        .then((result) => require('node:worker_threads').parentPort.postMessage(result));`,
      { eval: true },
    );
    expect(await new Promise((resolve) => worker.once('message', resolve))).toBe('conflict');
    await worker.terminate();
    await writer.close();
  });

  test('the lock of a process that was killed is taken over', async () => {
    const file = newFile();
    const script = `
      import { createJournal } from ${JSON.stringify(new URL('../../src/zo/journal.ts', import.meta.url).href)};
      const writer = await createJournal(${JSON.stringify(file)}, ${JSON.stringify(headerOf())});
      await writer.append({ step: 1, learningRate: 0, projectedGradients: [1], loss: 1 });
      console.log('ready');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await expectFailure(resumeJournal(file), 'conflict', `process ${child.pid}`);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    const { journal, writer } = await resumeJournal(file);
    expect(journal.records.length).toBe(1);
    await writer.close();
    expect((await readdir(directory)).filter((name) => name.includes('.lock'))).toEqual([]);
  });

  test('only one of many takes over a stale lock', async () => {
    const file = await journalOf(1);
    await writeFile(`${file}.lock`, lockOf({ pid: 2 ** 22 + 1 }));
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => resumeJournal(file)));
    const won = results.filter((result) => result.status === 'fulfilled');
    expect(won.length).toBe(1);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'conflict' });
    }
    await won[0]!.value.writer.close();
  });

  test.runIf(process.platform === 'linux')('a living process that only shares the number is no owner', async () => {
    const file = await journalOf(1);
    await writeFile(`${file}.lock`, lockOf({ started: '1' }));
    await (await resumeJournal(file)).writer.close();
  });

  test('a lock of another machine is respected', async () => {
    const file = await journalOf(1);
    await writeFile(`${file}.lock`, lockOf({ pid: 2 ** 22 + 1, host: 'elsewhere' }));
    await expectFailure(resumeJournal(file), 'conflict', 'elsewhere', 'delete');
  });

  test('a lock without an owner is respected while it may be in the making', async () => {
    const file = await journalOf(1);
    await writeFile(`${file}.lock`, '');
    await expectFailure(resumeJournal(file), 'conflict', 'another process');
    const old = new Date(Date.now() - 60_000);
    await utimes(`${file}.lock`, old, old);
    await (await resumeJournal(file)).writer.close();
  });

  test('closing does not remove a lock that somebody else has taken', async () => {
    const file = newFile();
    const writer = await createJournal(file, headerOf());
    await writeFile(`${file}.lock`, lockOf({}));
    await writer.close();
    expect(existsSync(`${file}.lock`)).toBe(true);
  });
});

test('a copy of a journal is a journal', async () => {
  const file = await journalOf(2);
  const copy = newFile();
  await copyFile(file, copy);
  const { writer } = await resumeJournal(copy);
  await writer.append(recordOf(3));
  await writer.close();
  expect((await openJournal(file)).records.length).toBe(2);
  expect((await openJournal(copy)).records.length).toBe(3);
});
