import { existsSync, readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from './harness.ts';
import { modelId, modelPath, type RealServer, startRealServer } from './real-server.ts';

let server: RealServer;

beforeAll(async () => {
  server = await startRealServer();
});
afterAll(() => server.close());

type Kind = 'reads' | 'reads slowly' | 'leaves early' | 'leaves in the middle' | 'gives up an upload';
const kinds: Kind[] = ['reads', 'reads slowly', 'leaves early', 'leaves in the middle', 'gives up an upload'];

/** A client of a plain socket, which can read as slowly and leave as rudely as it likes. */
function client(kind: Kind, number: number): Promise<string> {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  const body = JSON.stringify({
    model: modelId,
    prompt: `Film number ${number} was`,
    max_tokens: 6,
    stream: true,
    seed: number,
  });
  const head = (path: string, rest: string): string =>
    `POST ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: close\r\n${rest}\r\n\r\n`;
  if (kind === 'gives up an upload') {
    const type = 'Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000';
    const part = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{"text": "a"}\n';
    socket.write(head('/v1/files', type) + part);
    setTimeout(() => socket.destroy(), 50 + (number % 50));
  } else {
    socket.write(
      head('/v1/completions', `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}`) + body,
    );
  }
  return answer(socket, kind);
}

function answer(socket: Socket, kind: Kind): Promise<string> {
  let text = '';
  if (kind === 'leaves early') setTimeout(() => socket.destroy(), 20);
  socket.on('data', (data) => {
    text += data.toString('latin1');
    if (kind === 'leaves in the middle' && text.includes('data: ')) socket.destroy();
    if (kind !== 'reads slowly') return;
    socket.pause();
    setTimeout(() => socket.resume(), 30);
  });
  return new Promise((resolve) => {
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}

const active = async (): Promise<number> => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(/^subzero_generations_active (\d+)$/m.exec(text)?.[1]);
};
/** Files that this process has open; 0 where the system does not tell. */
const openFiles = (): number => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0);
const incoming = (): string[] => readdirSync(join(server.dataDirectory, 'files', 'incoming'));

/** GPU memory by what it holds, but for the memory of reading back, which is everybody's and kept. */
async function memory(): Promise<object> {
  const entries = Object.entries((await server.engine.info()).memory.byCategory);
  return Object.fromEntries(entries.filter(([category, bytes]) => category !== 'staging' && bytes > 0));
}

test('200 clients at once, some slow, some leaving: all who stay are answered, nothing is left behind', async () => {
  await server.engine.unloadModel(modelId);
  const withoutModel = await memory();
  await server.engine.loadModel({ id: modelId, path: modelPath });
  await Promise.all(kinds.map(client));
  await until(active, (count) => count === 0);
  const files = openFiles();

  const texts = await Promise.all(Array.from({ length: 200 }, (_, number) => client(kinds[number % 5]!, number)));
  for (const [number, text] of texts.entries()) {
    if (number % 5 > 1) continue;
    expect(text, `client ${number}`).toMatch(/^HTTP\/1\.1 200 OK/);
    expect(text.match(/data: \{/g)?.length, `client ${number}`).toBeGreaterThan(1);
    expect(text).toContain('data: [DONE]');
  }
  await until(active, (count) => count === 0);
  await until(incoming, (names) => names.length === 0);
  await until(openFiles, (count) => count <= files);
  const { data } = await server.client.files.list();
  expect(data).toEqual([]);
  // It still works, and all memory goes with the model.
  const { choices } = await server.client.completions.create({ model: modelId, prompt: 'The film', max_tokens: 2 });
  expect(choices).toHaveLength(1);
  await server.engine.unloadModel(modelId);
  expect(await memory()).toEqual(withoutModel);
});
