import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, renameSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { toFile } from 'openai';
import { describe, expect, test } from 'vitest';
import {
  expectError,
  jobBody,
  jsonLines,
  startServer,
  type TestServer,
  temporaryDirectory,
  trainingLines,
  until,
  uploadExamples,
} from './harness.ts';

/** Posts a form with one file. */
function upload(server: TestServer, content: string | Uint8Array<ArrayBuffer>, fields: Record<string, string> = {}) {
  const form = new FormData();
  for (const [name, value] of Object.entries({ purpose: 'fine-tune', ...fields })) form.set(name, value);
  form.set('file', new Blob([content]), 'train.jsonl');
  return fetch(`${server.url}/v1/files`, { method: 'POST', body: form });
}

/** What lies in the folder of files, half uploads included. */
function storedFiles(server: TestServer): string[] {
  return readdirSync(join(server.dataDirectory, 'files'), { recursive: true })
    .map(String)
    .filter((name) => name.includes('file-'));
}

describe('the life of a file', () => {
  test('upload, describe, download, list page by page, delete', async () => {
    const server = await startServer();
    const { client } = server;
    const ids: string[] = [];
    for (let index = 0; index < 5; index++) ids.unshift(await uploadExamples(server));
    const content = jsonLines(trainingLines);
    const file = await client.files.retrieve(ids[0]!);
    expect(file).toMatchObject({
      object: 'file',
      bytes: Buffer.byteLength(content),
      filename: 'train.jsonl',
      purpose: 'fine-tune',
      status: 'processed',
      lines: 2,
    });
    const download = await client.files.content(ids[0]!);
    expect(download.headers.get('content-disposition')).toContain('train.jsonl');
    expect(await download.text()).toBe(content);

    const listed: string[] = [];
    for await (const { id } of client.files.list({ limit: 2 })) listed.push(id);
    expect(listed).toEqual(ids);
    const oldest = await client.files.list({ order: 'asc', limit: 1, purpose: 'fine-tune' });
    expect(oldest).toMatchObject({ data: [{ id: ids.at(-1) }], has_more: true });
    expect((await client.files.list({ purpose: 'batch' })).data).toEqual([]);

    expect(await client.files.delete(ids[0]!)).toEqual({ id: ids[0], object: 'file', deleted: true });
    await expectError(await fetch(`${server.url}/v1/files/${ids[0]}`), 404);
    await expectError(await fetch(`${server.url}/v1/files/${ids[0]}/content`), 404);
    expect(storedFiles(server)).toHaveLength(4);
  });

  test('a large chunked upload without Content-Length arrives intact', async () => {
    const server = await startServer();
    const line = Buffer.from(`${JSON.stringify({ prompt: 'p'.repeat(500), completion: 'c'.repeat(500) })}\n`);
    const lines = 8000;
    const boundary = 'the-boundary';
    const digest = createHash('sha256');
    const answer = await new Promise<{ status: number; body: string }>((resolve, reject) => {
      const request = httpRequest(
        `${server.url}/v1/files`,
        { method: 'POST', headers: { 'content-type': `multipart/form-data; boundary=${boundary}` } },
        async (response) => {
          let body = '';
          for await (const chunk of response) body += chunk;
          resolve({ status: response.statusCode!, body });
        },
      );
      request.on('error', reject);
      // The file before the purpose: the order of parts is the client's choice.
      request.write(
        `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="../../etc/große Datei.jsonl"\r\n\r\n`,
      );
      for (let index = 0; index < lines; index++) {
        digest.update(line);
        request.write(line);
      }
      request.end(
        `\r\n--${boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--${boundary}--\r\n`,
      );
    });
    const file = JSON.parse(answer.body);
    expect(file).toMatchObject({ bytes: line.length * lines, lines, filename: 'große Datei.jsonl' });
    const content = await server.client.files.content(file.id);
    const received = createHash('sha256').update(Buffer.from(await content.arrayBuffer()));
    expect(received.digest('hex')).toBe(digest.digest('hex'));
  });

  test('every format of training data is accepted', async () => {
    const server = await startServer();
    for (const lines of [
      [{ prompt: 'It was', options: ['great', 'terrible'], label: 1 }],
      [{ prompt: 'It was', options: ['great', 'terrible'], label: 'great' }],
      [{ prompt: 'a', completion: 'b' }],
      [
        {
          messages: [
            { role: 'user', content: 'a' },
            { role: 'assistant', content: 'b' },
          ],
        },
      ],
      [
        {
          conversations: [
            { from: 'human', value: 'a' },
            { from: 'gpt', value: 'b' },
          ],
        },
      ],
      [{ instruction: 'a', output: 'b' }],
      [{ text: 'a' }],
      // What is to be answered, and graded.
      [{ messages: [{ role: 'user', content: 'a' }], answer: 'b' }],
      [{ prompt: 'a', answer: 'b' }],
    ]) {
      await uploadExamples(server, lines);
    }
    const windows = await upload(server, '\uFEFF{"text":"a"}\r\n\r\n{"text":"b"}');
    expect(await windows.json()).toMatchObject({ lines: 2 });
  });
});

describe('what is refused, and leaves nothing behind', () => {
  test('faulty lines are named', async () => {
    const server = await startServer({ limits: { lineBytes: 1000 } });
    const good = '{"prompt": "a", "completion": "b"}\n';
    const cases: [string | Uint8Array<ArrayBuffer>, RegExp][] = [
      [`${good}{"prompt": "a",\n`, /train\.jsonl:2: the line is not valid JSON/],
      [`${good}${good}[1]\n`, /train\.jsonl:3: expected a JSON object/],
      [`${good}\n\n{"promt": "a"}\n`, /train\.jsonl:4: unknown row/],
      [`${good}{"prompt": "a"}\n`, /train\.jsonl:2: this row is .*what a grader asks for, but train\.jsonl:1 is/],
      [`${good}{"text": "a"}\n`, /train\.jsonl:2: this row is .*train\.jsonl:1 is/],
      ['{"prompt": "a", "options": ["x", "y"], "label": "z"}', /train\.jsonl:1: label "z" is not among options/],
      ['{"messages": [{"role": "system", "content": "a", "x": 1}]}', /train\.jsonl:1: unknown field "x"/],
      [`${good}{"text": "${'x'.repeat(1000)}"}\n`, /train\.jsonl:2: the line is longer than 1000 bytes/],
      [new Uint8Array([0x22, 0xff, 0x22]), /train\.jsonl:1: the line is not valid UTF-8/],
      ['', /holds no examples/],
      ['\n \n', /holds no examples/],
    ];
    for (const [content, message] of cases) {
      const error = await expectError(await upload(server, content), 400);
      expect(error).toMatchObject({
        message: expect.stringMatching(message),
        param: 'file',
        code: 'invalid_training_file',
      });
    }
    const many = await expectError(await upload(server, 'x\n'.repeat(100_000)), 400);
    expect(many.message.match(/train\.jsonl:\d+/g)).toHaveLength(5);
    expect(storedFiles(server)).toEqual([]);
  });

  test('a file or a store that is full', async () => {
    const server = await startServer({ limits: { fileBytes: 1000, storedBytes: 1500 } });
    const line = `${JSON.stringify({ text: 'x'.repeat(88) })}\n`;
    expect(line.length).toBe(100);
    expect((await upload(server, line.repeat(10))).status).toBe(200);
    const larger = await expectError(await upload(server, `${line.repeat(10)}\n`), 413);
    expect(larger.code).toBe('file_too_large');
    await expectError(await upload(server, line.repeat(6)), 413);
    expect((await upload(server, line.repeat(5))).status).toBe(200);
    expect((await expectError(await upload(server, line), 413)).code).toBe('storage_full');
    expect(storedFiles(server)).toHaveLength(2);
  });

  test('other purposes, unknown fields, missing parts, broken bodies', async () => {
    const server = await startServer();
    const good = jsonLines(trainingLines);
    expect((await expectError(await upload(server, good, { purpose: 'batch' }), 400)).param).toBe('purpose');
    expect((await expectError(await upload(server, good, { wobble: '1' }), 400)).param).toBe('wobble');
    expect((await expectError(await upload(server, good, { purpose: 'x'.repeat(2000) }), 400)).param).toBe('purpose');
    const form = new FormData();
    form.set('purpose', 'fine-tune');
    expect((await expectError(await send(form), 400)).param).toBe('file');
    form.set('other', new Blob([good]), 'a.jsonl');
    expect((await expectError(await send(form), 400)).param).toBe('other');
    await expectError(await send('{"file": "x"}', 'application/json'), 415);
    await expectError(await send('x', 'multipart/form-data'), 415);
    await expectError(await send('x', 'multipart/form-data; boundary='), 400);
    const cut = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{"text":"a"}\n';
    expect((await expectError(await send(cut, 'multipart/form-data; boundary=b'), 400)).code).toBe('invalid_multipart');
    expect(storedFiles(server)).toEqual([]);

    function send(body: FormData | string, contentType?: string) {
      return fetch(`${server.url}/v1/files`, {
        method: 'POST',
        body,
        ...(contentType ? { headers: { 'content-type': contentType } } : {}),
      });
    }
  });

  test('an upload whose client leaves', async () => {
    const server = await startServer();
    const request = httpRequest(`${server.url}/v1/files`, {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
    });
    request.on('error', () => {});
    request.write('--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{"text":"a"}\n');
    await until(
      () => storedFiles(server).length,
      (count) => count === 1,
    );
    request.destroy();
    await until(
      () => storedFiles(server).length,
      (count) => count === 0,
    );
    expect((await server.client.files.list()).data).toEqual([]);
  });

  test('names and pages that do not exist, and paths as names', async () => {
    const server = await startServer();
    for (const path of ['file-x', '..%2F..%2Fsubzero.db', '%2Fetc%2Fpasswd', 'incoming']) {
      await expectError(await fetch(`${server.url}/v1/files/${path}`), 404);
      await expectError(await fetch(`${server.url}/v1/files/${path}/content`), 404);
      await expectError(await fetch(`${server.url}/v1/files/${path}`, { method: 'DELETE' }), 404);
    }
    expect((await expectError(await fetch(`${server.url}/v1/files?after=file-x`), 404)).param).toBe('after');
    for (const query of ['limit=0', 'limit=10001', 'limit=x', 'limit=-1', 'limit=1e3', 'order=up', 'wobble=1']) {
      await expectError(await fetch(`${server.url}/v1/files?${query}`), 400);
    }
  });
});

test('a repeated upload with the same Idempotency-Key is one file', async () => {
  const server = await startServer();
  const { client } = server;
  const send = async () =>
    client.files.create(
      { file: await toFile(Buffer.from(jsonLines(trainingLines)), 'a.jsonl'), purpose: 'fine-tune' },
      { headers: { 'idempotency-key': 'same' } },
    );
  const [first, second] = await Promise.all([send(), send()]);
  expect(second).toEqual(first);
  expect((await client.files.list()).data).toHaveLength(1);
});

describe('other kinds of files', () => {
  const send = (server: TestServer, name: string, content: string | Uint8Array) =>
    toFile(content instanceof Uint8Array ? content : Buffer.from(content), name).then((file) =>
      server.client.files.create({ file, purpose: 'fine-tune' }),
    );
  const parquet = readFileSync(new URL('../fixtures/data/parquet/zstd.parquet', import.meta.url));

  test('tables are kept under their kind, and a job says what their columns are', async () => {
    const server = await startServer();
    const table = await send(server, 'films.CSV', 'text,label\nfine,1\ndull,0\n"so,\nso",0\n');
    expect(table).toMatchObject({ filename: 'films.CSV', lines: 3 });
    expect(await send(server, 'rows.parquet', parquet)).toMatchObject({ lines: 5, bytes: parquet.length });
    expect(await send(server, 'rows.json', JSON.stringify(trainingLines))).toMatchObject({ lines: 2 });
    expect(
      storedFiles(server)
        .map((name) => name.replace(/.*\./, ''))
        .sort(),
    ).toEqual(['csv', 'json', 'parquet']);
    const download = await server.client.files.content(table.id);
    expect(await download.text()).toContain('"so,\nso",0');
    const settings = {
      columns: ['prompt=text'],
      labels: ['0=bad', '1=good'],
      template: '{text} It was',
      truncate: 'drop',
    };
    const job = await server.client.fineTuning.jobs.create(jobBody(table.id, { ...settings, validation_split: 0.5 }));
    await until(
      () => server.engine.trainRequests.length,
      (count) => count === 1,
    );
    expect(server.engine.trainRequests[0]).toMatchObject({
      data: { file: expect.stringMatching(/\.csv$/) },
      configuration: { ...settings, validationSplit: 0.5 },
    });
    expect(job.status).toBeDefined();
  });

  test.each([
    ['bad.csv', 'a,b\n1,2\n3\n', 'bad.csv:3: expected 2 columns (a, b); got 1.'],
    ['bad.tsv', 'a\tb\n', 'bad.tsv holds no examples.'],
    ['bad.parquet', 'hello, no table', /^bad\.parquet: not a Parquet file/],
    [
      'bad.json',
      '[{"prompt": "a", "completion": "b"}, {"x": 1}]',
      /^bad\.json \(row 2\): unknown row with fields \["x"\]/,
    ],
    ['rows.jsonl.gz', 'x', /^rows\.jsonl\.gz is packed; send it unpacked/],
  ])('%s is refused', async (name, content, message) => {
    const server = await startServer();
    const form = new FormData();
    form.set('purpose', 'fine-tune');
    form.set('file', new Blob([content]), name);
    const answer = await fetch(`${server.url}/v1/files`, { method: 'POST', body: form });
    const { message: told, code } = await expectError(answer, 400);
    expect(code).toBe('invalid_training_file');
    if (typeof message === 'string') expect(told).toBe(message);
    else expect(told).toMatch(message);
    expect(storedFiles(server)).toEqual([]);
  });

  test('files of older versions, all under one end, are found', async () => {
    const dataDirectory = temporaryDirectory();
    const server = await startServer({ dataDirectory });
    const { id } = await send(server, 'rows.json', jsonLines(trainingLines));
    await server.close();
    renameSync(join(dataDirectory, 'files', `${id}.json`), join(dataDirectory, 'files', `${id}.jsonl`));
    const next = await startServer({ dataDirectory });
    expect(await (await next.client.files.content(id)).text()).toBe(jsonLines(trainingLines));
  });
});
