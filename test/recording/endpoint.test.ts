import { expect, test } from 'vitest';
import { checkBaseUrl, Endpoint, RequestRefused } from '../../src/recording/endpoint.ts';
import { type Reply, standIn } from './stand-in.ts';

const never = new AbortController().signal;
const busy = (headers: Record<string, string> = {}, status = 429): Reply => ({
  ...{ status, headers },
  body: { error: { message: 'slow down' } },
});
const endpointAt = (baseUrl: string, more: object = {}) => new Endpoint({ baseUrl, retries: 4, timeout: 5, ...more });

test('what may succeed later is asked again, after the pause that is asked for', async () => {
  const replies: Reply[] = [
    busy({ 'retry-after-ms': '30' }),
    'hang up',
    busy({ 'retry-after': '0' }, 503),
    { body: { ok: 1 } },
  ];
  const { url, asked } = await standIn((_, count) => replies[count - 1]!);
  const waits: [number, string][] = [];
  const onWait = (seconds: number, reason: string): number => waits.push([seconds, reason]);
  expect(await endpointAt(url, { onWait, apiKey: 'k' }).post('/chat/completions', { a: 1 }, never)).toEqual({ ok: 1 });
  expect(asked).toHaveLength(4);
  expect(asked[0]).toMatchObject({ path: '/v1/chat/completions', authorization: 'Bearer k', body: { a: 1 } });
  expect(asked[1]!.at - asked[0]!.at).toBeGreaterThan(29);
  expect(waits.map(([seconds]) => seconds)).toEqual([0.03, expect.any(Number), 0]);
  // Without a word from the endpoint: between half of a second's half, doubled, and all of it.
  expect(waits[1]![0]).toBeGreaterThanOrEqual(0.5);
  expect(waits[1]![0]).toBeLessThanOrEqual(1);
  expect(waits[0]![1]).toBe('status 429: slow down');
}, 10_000);

test('when one request shall wait, all do', async () => {
  const { url, asked } = await standIn((_, count) => (count === 1 ? busy({ 'retry-after-ms': '200' }) : { body: {} }));
  const endpoint = endpointAt(url);
  const first = endpoint.post('/a', {}, never);
  await new Promise((resolve) => setTimeout(resolve, 80));
  await Promise.all([first, endpoint.post('/b', {}, never)]);
  for (const each of asked.slice(1)) expect(each.at - asked[0]!.at).toBeGreaterThan(190);
});

test('a date to wait for is understood', async () => {
  const date = new Date(Date.now() - 60_000).toUTCString();
  const { url, asked } = await standIn((_, count) => (count === 1 ? busy({ 'retry-after': date }) : { body: 1 }));
  expect(await endpointAt(url).post('/a', {}, never)).toBe(1);
  expect(asked).toHaveLength(2);
});

test('what cannot succeed is not asked again', async () => {
  const refuse = (status: number) => standIn(() => ({ status, body: { error: { message: 'no' } } }));
  const tooLong = await refuse(400);
  await expect(endpointAt(tooLong.url).post('/a', {}, never)).rejects.toThrow(RequestRefused);
  expect(tooLong.asked).toHaveLength(1);
  const key = await refuse(401);
  const error = { code: 'io', message: expect.stringContaining('status 401: no') };
  await expect(endpointAt(key.url).post('/a', {}, never)).rejects.toMatchObject(error);
  expect(key.asked).toHaveLength(1);
  const failing = await standIn(() => busy({ 'retry-after-ms': '1' }));
  await expect(endpointAt(failing.url, { retries: 2 }).post('/a', {}, never)).rejects.toThrow(
    /slow down \(3 attempts\)/,
  );
  expect(failing.asked).toHaveLength(3);
});

test('a redirection is not followed: it would take the key along', async () => {
  const other = await standIn(() => ({ body: {} }));
  const { url } = await standIn(() => ({ status: 307, headers: { location: `${other.url}/a` }, body: '' }));
  await expect(endpointAt(url, { retries: 0, apiKey: 'k' }).post('/a', {}, never)).rejects.toMatchObject({
    code: 'io',
  });
  expect(other.asked).toHaveLength(0);
});

test('an end ends waiting, not what is being answered', async () => {
  const abort = new AbortController();
  const { url } = await standIn(async () => {
    abort.abort();
    await new Promise((resolve) => setTimeout(resolve, 20));
    return { body: ['late'] };
  });
  expect(await endpointAt(url).post('/a', {}, abort.signal)).toEqual(['late']);
  const waiting = new AbortController();
  const slow = await standIn(() => {
    setTimeout(() => waiting.abort(), 20);
    return busy({ 'retry-after': '3600' });
  });
  await expect(endpointAt(slow.url).post('/a', {}, waiting.signal)).rejects.toMatchObject({ code: 'cancelled' });
});

test('an address is one of the web, without a password', () => {
  expect(checkBaseUrl('https://api.example.com/v1/')).toBe('https://api.example.com/v1');
  for (const wrong of ['file:///etc', 'api.example.com', 'https://me:secret@example.com/v1']) {
    expect(() => checkBaseUrl(wrong)).toThrow(expect.objectContaining({ code: 'invalid_argument' }));
  }
});
