import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  adapterFiles,
  filesLike,
  modelFiles,
  type ResolveRequest,
  resolveRepository,
  theseFiles,
} from '../../src/hub/index.ts';
import { open } from '../../src/platform/index.ts';
import { bytesOf, FakeHub } from './fake-hub.ts';

const [first, second] = ['1'.repeat(40), '2'.repeat(40)];
const weights = crypto.getRandomValues(new Uint8Array(50_000));

let hub: FakeHub;
let home: string;

beforeEach(async () => {
  hub = await FakeHub.start();
  home = mkdtempSync(join(tmpdir(), 'subzero-hub-'));
  hub.repositories.set('some/model', {
    commits: { main: first },
    files: {
      '.gitattributes': '*.safetensors filter=lfs',
      'README.md': '# A model',
      'config.json': '{"model_type": "llama"}',
      'generation_config.json': '{}',
      'tokenizer.json': '{"model": {}}',
      'tokenizer_config.json': '',
      'pytorch_model.bin': 'pickle',
      'onnx/model.onnx': 'onnx',
      'consolidated.safetensors': weights.slice(5),
      'additional_chat_templates/tool.jinja': '{{ messages }}',
      'model.safetensors': weights,
    },
  });
});

afterEach(async () => {
  await hub.stop();
  rmSync(home, { recursive: true, force: true });
});

const environment = (more: Record<string, string> = {}) => ({ HF_ENDPOINT: hub.endpoint, HF_HOME: home, ...more });

function resolve(request: Partial<ResolveRequest> = {}) {
  return resolveRepository({
    ...{ type: 'model', id: 'some/model', files: modelFiles, environment: environment() },
    times: { retryMilliseconds: 5, lookMilliseconds: 5, stallMilliseconds: 2000 },
    ...request,
  });
}

const folder = (): string => join(home, 'hub', 'models--some--model');
const partsOf = (): string[] => readdirSync(join(folder(), 'blobs')).filter((name) => name.endsWith('.incomplete'));
const messageOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no error',
    (error: Error) => `${(error as { code?: string }).code}: ${error.message}`,
  );

describe('a model', () => {
  const wanted = [
    ...['additional_chat_templates/tool.jinja', 'config.json', 'generation_config.json', 'model.safetensors'],
    ...['tokenizer.json', 'tokenizer_config.json'],
  ];

  test('comes into the cache in its layout, without what nothing reads', async () => {
    const bytes: number[] = [];
    const { directory, commit, files, downloadedBytes } = await resolve({
      onProgress: (progress) => bytes.push(progress.bytes),
    });
    expect(commit).toBe(first);
    expect(directory).toBe(join(folder(), 'snapshots', first));
    expect(files.toSorted()).toEqual(wanted);
    expect(readFileSync(join(folder(), 'refs', 'main'), 'utf8')).toBe(first);
    for (const path of wanted) {
      const content = bytesOf(hub.repositories.get('some/model')!.files[path]!);
      expect(new Uint8Array(readFileSync(join(directory, path))), path).toEqual(content);
      expect(lstatSync(join(directory, path)).isSymbolicLink()).toBe(true);
    }
    expect(readlinkSync(join(directory, 'additional_chat_templates/tool.jinja'))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\//);
    expect(partsOf()).toEqual([]);
    expect(downloadedBytes).toBe(bytes.at(-1));
    expect(hub.requests.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  test('is taken from the cache without a request, and asked for anew to bring it up to date', async () => {
    await resolve();
    hub.requests.length = 0;
    expect((await resolve()).downloadedBytes).toBe(0);
    expect(hub.requests).toEqual([]);
    const repository = hub.repositories.get('some/model')!;
    repository.commits.main = second;
    repository.files['config.json'] = '{"model_type": "opt"}';
    const { directory, downloadedBytes } = await resolve({ refresh: true });
    expect(directory).toBe(join(folder(), 'snapshots', second));
    expect(downloadedBytes).toBe(21);
    expect(readFileSync(join(directory, 'config.json'), 'utf8')).toContain('opt');
    expect(hub.downloads).toHaveLength(1);
    // The old commit is still there by its own name.
    hub.requests.length = 0;
    expect((await resolve({ revision: first })).directory).toBe(join(folder(), 'snapshots', first));
    expect(hub.requests).toEqual([]);
  });

  test('is asked for where another program has left files out', async () => {
    const { directory } = await resolve();
    unlinkSync(join(directory, 'generation_config.json'));
    hub.requests.length = 0;
    await resolve();
    expect(hub.requests.length).toBeGreaterThan(0);
    expect(existsSync(join(directory, 'generation_config.json'))).toBe(true);
  });

  test('comes in shards by its index', async () => {
    const { files } = hub.repositories.get('some/model')!;
    delete files['model.safetensors'];
    files['model.safetensors.index.json'] = JSON.stringify({ weight_map: { a: 'b.safetensors', c: 'a.safetensors' } });
    files['a.safetensors'] = weights.slice(1);
    expect(await messageOf(resolve())).toBe(
      'invalid_data: the model some/model has no b.safetensors, which its model.safetensors.index.json names',
    );
    files['b.safetensors'] = weights.slice(2);
    const found = (await resolve()).files;
    expect(found.slice(-3)).toEqual(['model.safetensors.index.json', 'a.safetensors', 'b.safetensors']);
  });

  test.each([
    [['pytorch_model.bin'], 'but pytorch_model.bin, which hold Python objects'],
    [['a.Q4_0.gguf', 'pytorch_model.bin'], 'but GGUF files; name one of them behind a colon: a.Q4_0.gguf'],
    [[], 'has no weights in the safetensors format, but README.md, config.json; is it a model for transformers?'],
  ])('is refused by name without safetensors: %s', async (others, message) => {
    const repository = hub.repositories.get('some/model')!;
    repository.files = Object.fromEntries(['README.md', 'config.json', ...others].map((name) => [name, name]));
    expect(await messageOf(resolve())).toContain(message);
    expect(existsSync(join(folder(), 'refs'))).toBe(false);
  });

  test('and other repositories: an adapter, single files, data sets', async () => {
    const adapter = { 'adapter_config.json': '{}', 'adapter_model.safetensors': weights, 'README.md': '' };
    hub.repositories.set('some/adapter', { commits: { main: first }, files: adapter });
    expect((await resolve({ id: 'some/adapter', files: adapterFiles })).files).toHaveLength(2);
    expect((await resolve({ id: 'some/adapter' })).files).toHaveLength(2);
    expect((await resolve({ files: theseFiles('README.md') })).files).toEqual(['README.md']);
    expect(await messageOf(resolve({ files: theseFiles('x.gguf') }))).toBe(
      'not_found: the model some/model has no x.gguf',
    );
    const files = { 'data/train-0.parquet': weights, 'data/test.csv': 'a' };
    hub.repositories.set('some/data', {
      type: 'dataset',
      commits: { main: second, 'refs/convert/parquet': first },
      files,
    });
    const data = { type: 'dataset', id: 'some/data', revision: 'refs/convert/parquet' } as const;
    const found = await resolve({ ...data, files: filesLike(/\.parquet$/) });
    expect(found.files).toEqual(['data/train-0.parquet']);
    expect(found.directory).toBe(join(home, 'hub', 'datasets--some--data', 'snapshots', first));
    expect((await resolve({ ...data, files: filesLike(/\.parquet$/), offline: true })).directory).toBe(found.directory);
    expect(await messageOf(resolve({ ...data, type: 'model' }))).toContain('has no model some/data');
  });
});

describe('access', () => {
  test('the token goes to the hub and not to where it redirects', async () => {
    hub.repositories.get('some/model')!.gatedFor = 'hf_right';
    expect(await messageOf(resolve())).toMatch(
      /^conflict: some\/model is gated: accept its terms at http.*\/some\/model with an account, and set HF_TOKEN/,
    );
    writeFileSync(join(home, 'token'), 'hf_right\n');
    await resolve();
    const large = hub.requests.filter(({ host }) => host === 'storage');
    expect(large.map(({ authorization }) => authorization)).toEqual([undefined]);
    expect(hub.requests.filter(({ authorization }) => authorization === 'Bearer hf_right').length).toBeGreaterThan(5);
  });

  test('what is missing or hidden is said in one line', async () => {
    expect(await messageOf(resolve({ id: 'no/model' }))).toBe(
      `not_found: ${hub.endpoint} has no model no/model, or it is private and HF_TOKEN is not set; check the name`,
    );
    expect(await messageOf(resolve({ revision: 'v9' }))).toBe('not_found: some/model has no revision "v9"');
    hub.repositories.get('some/model')!.privateFor = 'hf_other';
    expect(await messageOf(resolve({ environment: environment({ HF_TOKEN: 'hf_mine' }) }))).toMatch(
      /^conflict: http.* refuses the model some\/model to the account of HF_TOKEN/,
    );
  });

  test('names that are none are refused before anything is asked', async () => {
    for (const wrong of [{ id: '../x' }, { id: 'x' }, { id: 'a/b/c' }, { revision: '../main' }, { revision: 'a b' }]) {
      expect(await messageOf(resolve(wrong))).toMatch(/^invalid_argument: a repository is named owner\/name/);
    }
    expect(hub.requests).toEqual([]);
  });

  test('without a network, and with something else at the address', async () => {
    await resolve();
    const gone = environment({ HF_ENDPOINT: 'http://127.0.0.1:9' });
    expect(await messageOf(resolve({ environment: gone, id: 'some/other' }))).toMatch(
      /^io: cannot reach http:\/\/127\.0\.0\.1:9: \S.*; check the network, or HF_ENDPOINT$/,
    );
    const notes: string[] = [];
    const again = await resolve({ environment: gone, refresh: true, onNote: (note) => notes.push(note) });
    expect(again.files).toContain('model.safetensors');
    expect(notes.join()).toContain('some/model is taken from the cache as it is there');
    expect(await messageOf(resolve({ offline: true, id: 'some/other' }))).toMatch(/^not_found: .* is not in the cache/);
    hub.requests.length = 0;
    const offline = environment({ HF_HUB_OFFLINE: 'Yes' });
    expect((await resolve({ environment: offline, refresh: true })).commit).toBe(first);
    expect(hub.requests).toEqual([]);
  });
});

describe('a download', () => {
  test('goes on where the body was cut', async () => {
    hub.trouble.set('model.safetensors', { cutAfter: 20_000, times: 2 });
    const { directory } = await resolve();
    expect(new Uint8Array(readFileSync(join(directory, 'model.safetensors')))).toEqual(weights);
    const ranges = hub.requests.filter(({ host }) => host === 'storage').map(({ range }) => range);
    expect(ranges[0]).toBeUndefined();
    expect(ranges).toHaveLength(3);
    expect(ranges[2]).toMatch(/^bytes=[1-9]/);
  });

  test('starts over where the service sends no parts', async () => {
    hub.trouble.set('model.safetensors', { cutAfter: 20_000, times: 1, noRanges: true });
    const { directory } = await resolve();
    expect(new Uint8Array(readFileSync(join(directory, 'model.safetensors')))).toEqual(weights);
  });

  test('passes over short failures, and gives up after several without losing what has come', async () => {
    hub.trouble.set('config.json', { status: 503, times: 2 });
    hub.trouble.set('model.safetensors', { cutAfter: 10_000, times: 1 });
    const failing = hub.trouble.get('model.safetensors')!;
    setTimeout(() => Object.assign(failing, { status: 500, times: undefined }), 0);
    const message = await messageOf(resolve());
    expect(message).toMatch(/^io: model\.safetensors: .* are kept; the same command goes on from there$/);
    expect(partsOf()).toHaveLength(1);
    expect(existsSync(join(folder(), 'snapshots', first, 'model.safetensors'))).toBe(false);
    expect(existsSync(join(folder(), 'refs', 'main'))).toBe(false);
    hub.trouble.clear();
    hub.requests.length = 0;
    await resolve();
    expect(partsOf()).toEqual([]);
  });

  test('takes up a part of an earlier process, and begins anew where that is damaged', async () => {
    const blob = (await resolve().then(() => readlinkSync(join(folder(), 'snapshots', first, 'model.safetensors'))))
      .split('/')
      .at(-1)!;
    const part = join(folder(), 'blobs', `${blob}.free.01234567.incomplete`);
    for (const [content, requests] of [
      [weights.slice(0, 30_000), ['bytes=30000-']],
      [new Uint8Array(30_000), ['bytes=30000-', undefined]],
      [new Uint8Array(60_000), [undefined]],
      [weights, []],
    ] as const) {
      rmSync(join(folder(), 'blobs', blob));
      writeFileSync(part, content);
      hub.requests.length = 0;
      const { directory } = await resolve();
      expect(new Uint8Array(readFileSync(join(directory, 'model.safetensors')))).toEqual(weights);
      expect(hub.requests.filter(({ host }) => host === 'storage').map(({ range }) => range)).toEqual(requests);
      expect(partsOf()).toEqual([]);
    }
  });

  test.each(['config.json', 'model.safetensors'])('is refused with a wrong checksum: %s', async (path) => {
    const right = bytesOf(hub.repositories.get('some/model')!.files[path]!);
    const wrong = right.slice();
    wrong[3]! ^= 1;
    hub.trouble.set(path, { wrong });
    expect(await messageOf(resolve())).toMatch(
      /^invalid_data: .* did not come as it should: its (sha256|git-sha1) is not/,
    );
    expect(existsSync(join(folder(), 'snapshots', first, path))).toBe(false);
    hub.trouble.set(path, { wrong: new Uint8Array(right.length + 9) });
    expect(await messageOf(resolve())).toContain('more bytes came than');
    hub.trouble.clear();
    await resolve();
    expect(partsOf()).toEqual([]);
  });

  test('says that the disk is full, and leaves nothing under a name', async () => {
    const full: typeof open = async (path, flags) => {
      const handle = await open(path, flags);
      let left = 20_000;
      const write: typeof handle.write = async (bytes, offset, length, position) => {
        left -= length;
        if (left < 0) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
        return await handle.write(bytes, offset, length, position);
      };
      const bound = Object.fromEntries(
        (['read', 'stat', 'truncate', 'sync', 'datasync', 'close'] as const).map((name) => [
          name,
          handle[name].bind(handle),
        ]),
      );
      return { ...bound, write } as unknown as typeof handle;
    };
    const message = await messageOf(resolve({ openFile: full }));
    expect(message).toMatch(/^io: cannot write .*: the disk is full; free some space and try again$/);
    expect(existsSync(join(folder(), 'snapshots', first, 'model.safetensors'))).toBe(false);
    await resolve();
    expect(partsOf()).toEqual([]);
  });

  test('stops when it is asked to', async () => {
    hub.trouble.set('model.safetensors', { cutAfter: 10_000, stall: 5000 });
    const stop = new AbortController();
    const work = resolve({
      signal: stop.signal,
      onProgress: ({ bytes }) => {
        if (bytes >= 10_000) stop.abort(new Error('enough'));
      },
    });
    await expect(work).rejects.toThrow('enough');
    hub.trouble.clear();
    hub.requests.length = 0;
    await resolve();
    expect(hub.requests.find(({ host }) => host === 'storage')?.range).toMatch(/^bytes=[1-9]/);
  });

  test('a connection that brings nothing is given up', async () => {
    hub.trouble.set('model.safetensors', { cutAfter: 10_000, stall: 60_000, times: 1 });
    await resolve({ times: { retryMilliseconds: 5, stallMilliseconds: 100, lookMilliseconds: 5 } });
  });
});

describe('several at once', () => {
  function pull(): ChildProcess & { result: Promise<{ code: number | null; output: string }> } {
    const puller = fileURLToPath(new URL('./puller.ts', import.meta.url));
    const child = spawn(process.execPath, [puller, 'some/model'], {
      env: { ...process.env, ...environment(), HF_TOKEN: '' },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    let output = '';
    child.stdout!.on('data', (data) => {
      output += data;
    });
    const result = new Promise<{ code: number | null; output: string }>((done) => {
      child.on('close', (code) => done({ code, output }));
    });
    return Object.assign(child, { result });
  }

  test('in one process and in several, one download is made', async () => {
    const results = await Promise.all([resolve(), resolve(), pull().result, pull().result]);
    expect(results.map((result) => ('code' in result ? result.code : 0))).toEqual([0, 0, 0, 0]);
    const { directory } = results[0] as { directory: string };
    expect(new Uint8Array(readFileSync(join(directory, 'model.safetensors')))).toEqual(weights);
    expect(partsOf()).toEqual([]);
  });

  test('a process that waits takes over what a killed one has begun', async () => {
    hub.trouble.set('model.safetensors', { cutAfter: 30_000, stall: 60_000, times: 1 });
    const killed = pull();
    await new Promise<void>((seen) =>
      killed.on('message', ({ bytes }: { bytes: number }) => bytes >= 30_000 && seen()),
    );
    const notes: string[] = [];
    const waiting = resolve({ onNote: (note) => notes.push(note) });
    await expect
      .poll(() => notes.join(), { timeout: 5000 })
      .toBe(`process ${killed.pid} is downloading model.safetensors; waiting for it`);
    killed.kill('SIGKILL');
    await killed.result;
    hub.requests.length = 0;
    await waiting;
    expect(hub.requests.filter(({ host }) => host === 'storage').map(({ range }) => range)).toEqual([
      expect.stringMatching(/^bytes=[1-9]/),
    ]);
    expect(partsOf()).toEqual([]);
  });
});
