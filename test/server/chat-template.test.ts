/** Chat templates from a model's folder to a request's answer. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectError, post } from './harness.ts';
import { modelPath, type RealServer, startRealServer } from './real-server.ts';

let server: RealServer;
const folder = mkdtempSync(join(tmpdir(), 'subzero-templates-'));

/** The example model with another chat template. */
function modelWith(name: string, template: string) {
  const path = join(folder, name);
  cpSync(modelPath, path, { recursive: true });
  const file = join(path, 'tokenizer_config.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), chat_template: template }));
  return { id: name, path };
}

const turns = "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}<|assistant|>";

beforeAll(async () => {
  server = await startRealServer({
    models: [
      modelWith('silent', turns),
      modelWith('opening', `{{ bos_token }}${turns}`),
      modelWith('strict', "{% if messages[0].role == 'system' %}{{ raise_exception('No system here!') }}{% endif %}x"),
      modelWith('broken', 'a\n{{ x|urlize }}'),
    ],
  });
});

afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const messages = [{ role: 'user', content: 'Hello' }];
// What `apply_chat_template` of transformers 5.24 gives.
const ids = [2, 43, 457, 82, 3];

describe('BOS of a conversation', () => {
  const tokenize = async (model: string, extra: object = {}) =>
    (await (await post(server, '/v1/tokenize', { model, messages, ...extra })).json()).tokens;

  test('stands there where the template writes it, and not elsewhere', async () => {
    expect(await tokenize('silent')).toEqual(ids);
    expect(await tokenize('opening')).toEqual([0, ...ids]);
    for (const model of ['silent', 'opening']) {
      const answer = await post(server, '/v1/chat/completions', { model, messages, max_tokens: 1 });
      expect((await answer.json()).usage.prompt_tokens).toBe((await tokenize(model)).length);
    }
  });

  test('is added on request, once', async () => {
    expect(await tokenize('silent', { add_special_tokens: true })).toEqual([0, ...ids]);
    expect(await tokenize('opening', { add_special_tokens: true })).toEqual([0, ...ids]);
  });
});

describe('templates that refuse', () => {
  test('the words of raise_exception reach the client', async () => {
    const body = { model: 'strict', messages: [{ role: 'system', content: 'a' }, ...messages] };
    for (const path of ['/v1/chat/completions', '/v1/tokenize']) {
      const error = await expectError(await post(server, path, body), 400);
      expect(error.message).toMatch(/^the chat template refused the messages: No system here!/i);
    }
  });

  test('what is not supported is named, with its line', async () => {
    const answer = await post(server, '/v1/chat/completions', { model: 'broken', messages, max_tokens: 1 });
    const { error } = await answer.json();
    expect(answer.status).toBe(400);
    expect(error.message).toMatch(/chat template is not valid: line 2: the filter "urlize" is not supported/);
  });
});
