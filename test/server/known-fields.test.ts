import { readFileSync } from 'node:fs';
import type OpenAI from 'openai';
import { toFile } from 'openai';
import { beforeEach, describe, expect, test } from 'vitest';
import { ignoredFields, refusedFields } from '../../server/schemas/known-fields.ts';
import {
  expectError,
  jsonLines,
  post,
  startServer,
  type TestServer,
  trainingLines,
  until,
  uploadExamples,
} from './harness.ts';

const types = new URL('../../node_modules/openai/resources/', import.meta.url);

/** The fields of an interface in the type declarations of OpenAI's client. */
function fieldsOf(file: string, name: string): string[] {
  const text = readFileSync(new URL(file, types), 'utf8');
  const body = new RegExp(`^export interface ${name}(?:<\\w+>)? (?:extends .*)?\\{\\n([^]*?)^\\}`, 'm').exec(text)?.[1];
  const fields = [...(body ?? '').matchAll(/^ {4}(\w+)\??:/gm)].map(([, field]) => field!);
  expect(fields, `${name} in ${file}`).not.toHaveLength(0);
  return fields;
}

const messages = [{ role: 'user', content: 'Hi' }];
const functionTool = { type: 'function', function: { name: 'now', parameters: {} } };
const sampling = {
  ...{ frequency_penalty: 0.5, presence_penalty: 0.5, logit_bias: { 5: 1 }, max_tokens: 2, n: 2, seed: 1 },
  ...{ stop: ['x'], stream: true, temperature: 0.5, top_p: 0.5 },
};

/** Values that ask for something, of the fields that are honoured and of those that are refused. */
const kinds = {
  chat: {
    path: '/v1/chat/completions',
    types: ['chat/completions/completions.d.ts', 'ChatCompletionCreateParamsBase'],
    base: { model: 'base', messages, max_completion_tokens: 1 },
    honoured: {
      ...sampling,
      ...{ logprobs: true, max_completion_tokens: 2, max_tokens: 1 },
    } as Record<string, unknown>,
    // Need another field beside them.
    together: { stream_options: { stream: true }, top_logprobs: { logprobs: true } } as Record<string, object>,
    refused: {
      audio: { voice: 'alloy', format: 'wav' },
      function_call: { name: 'now' },
      functions: [{ name: 'now' }],
      modalities: ['text', 'audio'],
      moderation: { model: 'omni-moderation-latest' },
      prediction: { type: 'content', content: 'Hi' },
      response_format: { type: 'json_object' },
      tool_choice: 'required',
      tools: [functionTool],
      web_search_options: {},
    } as Record<string, unknown>,
  },
  completions: {
    path: '/v1/completions',
    types: ['completions.d.ts', 'CompletionCreateParamsBase'],
    base: { model: 'base', prompt: 'Hi', max_tokens: 1 },
    honoured: { ...sampling, echo: true, logprobs: 2 } as Record<string, unknown>,
    together: { stream_options: { stream: true } } as Record<string, object>,
    refused: { best_of: 3, suffix: 'end' } as Record<string, unknown>,
  },
  embeddings: {
    path: '/v1/embeddings',
    types: ['embeddings.d.ts', 'EmbeddingCreateParams'],
    base: { model: 'base', input: 'Hi' },
    honoured: { encoding_format: 'base64' } as Record<string, unknown>,
    together: {} as Record<string, object>,
    refused: { dimensions: 8 } as Record<string, unknown>,
  },
} as const;

/** Values of `together`. */
const helpedValues: Record<string, unknown> = { stream_options: { include_usage: true }, top_logprobs: 2 };

let server: TestServer;

beforeEach(async () => {
  server = await startServer();
});

describe.each(Object.keys(kinds) as (keyof typeof kinds)[])('%s', (kind) => {
  const { path, base, honoured, together, refused, types: declared } = kinds[kind];
  const fields = fieldsOf(declared[0], declared[1]);
  const answer = (extra: object) => post(server, path, { ...base, ...extra });

  test('every field of the client of OpenAI is honoured, accepted or refused by name', async () => {
    const ignored: Readonly<Record<string, string>> = ignoredFields[kind];
    expect(Object.keys(refused).sort()).toEqual(Object.keys(refusedFields[kind]).sort());
    for (const field of fields) {
      if (field in base && !(field in honoured)) continue;
      const groups = [field in honoured || field in together, field in ignored, field in refused];
      expect(groups.filter(Boolean), `${field} is in one group`).toHaveLength(1);
      if (field in refused) {
        const error = await expectError(await answer({ [field]: refused[field] }), 400);
        expect(error).toMatchObject({ param: field, code: 'unsupported', type: 'invalid_request_error' });
        expect(error.message).toContain(`"${field}"`);
        continue;
      }
      const value = honoured[field] ?? helpedValues[field] ?? 'anything';
      const replaced = field === 'max_tokens' && kind === 'chat' ? { max_completion_tokens: undefined } : {};
      const response = await answer({ ...replaced, ...together[field], [field]: value });
      expect([field, response.status, await response.text()]).toEqual([field, 200, expect.any(String)]);
    }
  });

  test('null is the same as nothing', async () => {
    const known = [...fields, ...Object.keys(ignoredFields[kind]), ...Object.keys(refusedFields[kind])];
    const nulls = Object.fromEntries(known.filter((field) => !(field in base)).map((field) => [field, null]));
    const normal = await (await answer({ seed: kind === 'embeddings' ? undefined : 3 })).json();
    const response = await answer({ ...nulls, ...(kind === 'embeddings' ? {} : { seed: 3 }) });
    expect(response.status).toBe(200);
    const { id: _, created: __, ...rest } = await response.json();
    expect(normal).toMatchObject(rest);
    for (const field of Object.keys(base).filter((name) => !name.startsWith('max'))) {
      const error = await expectError(await answer({ [field]: null }), 400);
      expect(error).toMatchObject({ param: field, code: 'missing_field' });
    }
    expect((await expectError(await answer({ wobble: 1 }), 400)).code).toBe('unknown_field');
    expect((await answer({ wobble: null })).status).toBe(200);
  });
});

describe('messages', () => {
  const ask = (...more: object[]) =>
    post(server, '/v1/chat/completions', { model: 'base', messages: [...messages, ...more], max_tokens: 1 });
  const given = () => server.engine.generateRequests.at(-1)!.messages!.slice(1);

  test('that the client of OpenAI hands back are accepted', async () => {
    const chat = server.client.chat.completions;
    const request = { model: 'base', messages: messages as OpenAI.ChatCompletionMessageParam[], stop: ['c'], seed: 0 };
    const plain = (await chat.create(request)).choices[0]!.message;
    const streamed = await chat.stream(request).finalMessage();
    const parsed = (await chat.parse(request)).choices[0]!.message;
    for (const message of [plain, streamed, parsed]) {
      await chat.create({ ...request, messages: [...request.messages, message, ...request.messages] });
      expect(given().slice(0, 1)).toEqual([{ role: 'assistant', content: message.content }]);
    }
    // What `model_dump()` of its Python twin writes.
    const dumped = {
      ...{ content: 'a', refusal: null, role: 'assistant', annotations: null, audio: null, function_call: null },
      ...{ tool_calls: null, parsed: null, reasoning: null, name: null },
    };
    for (const message of [dumped, { ...dumped, tool_calls: [], annotations: [], refusal: '' }]) {
      expect((await ask(message)).status).toBe(200);
      expect(given()).toEqual([{ role: 'assistant', content: 'a' }]);
    }
  });

  test('every field of their types is honoured, accepted or refused by name', async () => {
    const file = 'chat/completions/completions.d.ts';
    const names = [
      ...['System', 'Developer', 'User', 'Assistant', 'Tool'].map((role) => `ChatCompletion${role}MessageParam`),
      ...['ChatCompletionMessage', 'ParsedChatCompletionMessage'],
    ];
    const honoured = ['role', 'content', 'name', 'tool_calls', 'tool_call_id'];
    for (const field of new Set(names.flatMap((name) => fieldsOf(file, name)))) {
      if (honoured.includes(field)) continue;
      const response = await ask({ role: 'assistant', content: 'a', [field]: 'anything' });
      if (field in ignoredFields.messages) {
        expect(response.status).toBe(200);
        expect(given()).toEqual([{ role: 'assistant', content: 'a' }]);
      } else {
        expect(await expectError(response, 400)).toMatchObject({ param: `messages.1.${field}`, code: 'unsupported' });
      }
    }
    const part = fieldsOf(file, 'ChatCompletionContentPartText').filter((field) => !['type', 'text'].includes(field));
    for (const field of [...part, 'cache_control']) {
      const content = [{ type: 'text', text: 'Hi', [field]: { type: 'ephemeral' } }];
      expect((await ask({ role: 'user', content })).status).toBe(200);
      expect(given()).toEqual([{ role: 'user', content: 'Hi' }]);
    }
    expect((await ask({ role: 'user', content: 'Hi', cache_control: { type: 'ephemeral' } })).status).toBe(200);
    const stream = fieldsOf(file, 'ChatCompletionStreamOptions').filter((field) => field !== 'include_usage');
    expect(stream).toEqual(Object.keys(ignoredFields.stream_options));
  });

  test('a history of calls of tools reaches the template, its arguments as objects', async () => {
    const call = (given?: unknown) => ({ id: 'call-1', type: 'function', function: { name: 'now', arguments: given } });
    const object = { zone: 'UTC', at: null };
    for (const given of [object, JSON.stringify(object)]) {
      const response = await ask(
        { role: 'assistant', content: null, tool_calls: [call(given)], reasoning: 'What time is it?' },
        { role: 'tool', content: [{ type: 'text', text: 'noon' }], tool_call_id: 'call-1' },
      );
      expect(response.status).toBe(200);
    }
    for (const { messages: sent } of server.engine.generateRequests) {
      expect(sent!.slice(1)).toEqual([
        { role: 'assistant', content: '', tool_calls: [call(object)], reasoning_content: 'What time is it?' },
        { role: 'tool', content: 'noon', tool_call_id: 'call-1' },
      ]);
    }
    for (const [message, param] of [
      [{ role: 'assistant', tool_calls: [call('{"zone":')] }, 'messages.1.tool_calls.0.function.arguments'],
      [{ role: 'assistant', tool_calls: [call('[1]')] }, 'messages.1.tool_calls.0.function.arguments'],
      [{ role: 'user', content: 'Hi', tool_calls: [call('{}')] }, 'messages.1.tool_calls'],
      [{ role: 'function', name: 'now', content: 'noon' }, 'messages.1.role'],
      [{ role: 'tool', tool_call_id: 'call-1', content: null }, 'messages.1.content'],
    ] as const) {
      expect((await expectError(await ask(message), 400)).param).toBe(param);
    }
  });

  test('variables for the template are passed on, those of the request excepted', async () => {
    const body = { model: 'base', messages, max_tokens: 1 };
    const variables = { enable_thinking: false, day: null };
    await post(server, '/v1/chat/completions', { ...body, chat_template_kwargs: variables });
    expect(server.engine.generateRequests.at(-1)!.templateVariables).toEqual(variables);
    const refused = await post(server, '/v1/chat/completions', { ...body, chat_template_kwargs: { messages: [] } });
    expect((await expectError(refused, 400)).param).toBe('chat_template_kwargs');
  });
});

describe('fine-tuning', () => {
  test('every field of the client of OpenAI is known', async () => {
    const file = await uploadExamples(server);
    const base = { model: 'base', training_file: file, hyperparameters: { n_epochs: 1 } };
    const fields = fieldsOf('fine-tuning/jobs/jobs.d.ts', 'JobCreateParams');
    const values: Record<string, unknown> = {
      ...{ metadata: { team: 'a' }, seed: 1, suffix: 'x', validation_file: file, training_file: file, model: 'base' },
      ...{ hyperparameters: { n_epochs: 'auto', batch_size: null, learning_rate_multiplier: null } },
      ...{ method: { type: 'supervised', supervised: { hyperparameters: null } }, integrations: [] },
    };
    for (const field of fields) {
      expect(values, field).toHaveProperty(field);
      const create = (value: unknown) => post(server, '/v1/fine_tuning/jobs', { ...base, [field]: value });
      expect([field, (await create(values[field])).status]).toEqual([field, 200]);
      const isRequired = field === 'model' || field === 'training_file';
      expect([field, (await create(null)).status]).toEqual([field, isRequired ? 400 : 200]);
    }
    const integrations = [{ type: 'wandb', wandb: { project: 'x' } }];
    const refused = await post(server, '/v1/fine_tuning/jobs', { ...base, integrations });
    expect(await expectError(refused, 400)).toMatchObject({ param: 'integrations', code: 'unsupported' });
    const method = { type: 'reinforcement', reinforcement: {} };
    const response = await post(server, '/v1/fine_tuning/jobs', { ...base, method });
    expect((await expectError(response, 400)).param).toBe('method.reinforcement.grader');
    const { hyperparameters: _, ...alone } = base;
    const names = fieldsOf('fine-tuning/methods.d.ts', 'ReinforcementHyperparameters');
    const grader = { type: 'string_check', name: 'g', input: 'a', reference: 'b', operation: 'eq' };
    const reinforce = (hyperparameters: object, more = {}) =>
      post(server, '/v1/fine_tuning/jobs', {
        ...alone,
        method: { type: 'reinforcement', reinforcement: { grader, hyperparameters, ...more } },
      });
    const neutral = names.map((field) => [field, field === 'reasoning_effort' ? 'default' : 'auto']);
    expect((await reinforce(Object.fromEntries(neutral))).status).toBe(200);
    expect((await reinforce({ n_epochs: 1, eval_samples: 1 })).status).toBe(200);
    for (const [hyperparameters, more, param] of [
      [{ eval_samples: 2 }, {}, 'method.reinforcement.hyperparameters.eval_samples'],
      [{ reasoning_effort: 'low' }, {}, 'method.reinforcement.hyperparameters.reasoning_effort'],
      [{}, { response_format: { type: 'json_schema' } }, 'method.reinforcement.response_format'],
    ] as const) {
      const error = await expectError(await reinforce(hyperparameters, more), 400);
      expect(error).toMatchObject({ param, code: 'unsupported' });
    }
    const own = fieldsOf('fine-tuning/methods.d.ts', 'DpoHyperparameters');
    expect(own).toContain('beta');
    const preferences = await uploadExamples(server, [{ prompt: 'It was', chosen: 'great', rejected: 'bad' }]);
    for (const [hyperparameters, expected] of [
      [{ n_epochs: 1.5 }, 'expected "auto" or a whole number (got 1.5)'],
      [{ beta: 'x' }, 'expected "auto" or a number (got "x")'],
    ] as const) {
      const dpo = { ...alone, training_file: preferences, method: { type: 'dpo', dpo: { hyperparameters } } };
      const error = await expectError(await post(server, '/v1/fine_tuning/jobs', dpo), 400);
      expect(error.message).toContain(expected);
    }
    for (const value of [null, 'auto']) {
      const hyperparameters = Object.fromEntries(own.map((field) => [field, value]));
      const dpo = { ...alone, training_file: preferences, method: { type: 'dpo', dpo: { hyperparameters } } };
      expect([value, (await post(server, '/v1/fine_tuning/jobs', dpo)).status]).toEqual([value, 200]);
    }
  });

  test('null hyperparameters are defaults, in jobs and step runs', async () => {
    const training_file = await uploadExamples(server);
    const hyperparameters = { steps: 1, learning_rate: null, optimizer: null, parameters: null, n_epochs: null };
    const method = { type: 'zeroth_order', zeroth_order: { hyperparameters } };
    const body = { model: 'base', training_file, method, suffix: null, validation_file: null, metadata: null };
    const job = await (await post(server, '/v1/fine_tuning/jobs', body)).json();
    expect(job.method.zeroth_order.hyperparameters).toMatchObject({ steps: 1, learning_rate: 1e-6 });
    const run = await post(server, '/v1/zo/runs', { model: 'base', hyperparameters: { learning_rate: null, seed: 1 } });
    const { id } = await run.json();
    const data = [{ ...trainingLines[0], options: null, label: null }];
    const probe = await (await post(server, `/v1/zo/runs/${id}/probe`, { data, step: null, seq_id: null })).json();
    // What one call answers is what the next one takes.
    const { projected_gradients, curvatures } = probe;
    expect(curvatures).toBeNull();
    const apply = { projected_gradients, curvatures, learning_rate: null, step: null, seq_id: null };
    expect((await post(server, `/v1/zo/runs/${id}/apply`, apply)).status).toBe(200);
    const line = { step: 2, seed: null, learning_rate: 1e-6, projected_gradients, curvatures };
    const lines = { 'content-type': 'application/x-ndjson' };
    const replayed = await post(server, `/v1/zo/runs/${id}/trajectory`, jsonLines([line]), lines);
    expect(replayed.status).toBe(200);
    const sample = { prompt: 'x', max_tokens: null, temperature: null, stop: null, seq_id: null };
    expect((await post(server, `/v1/zo/runs/${id}/sample`, sample)).status).toBe(200);
    await until(
      () => server.client.fineTuning.jobs.retrieve(job.id),
      ({ status }) => status === 'succeeded',
    );
    const bench = { suite: null, filter: null, seconds: null, stream: null };
    expect((await post(server, '/v1/bench', bench)).status).toBe(200);
  });

  test('an expiry of a file is refused, since the file would stay', async () => {
    const file = await toFile(Buffer.from(jsonLines(trainingLines)), 'train.jsonl');
    const known = fieldsOf('files.d.ts', 'FileCreateParams');
    expect(known.sort()).toEqual(['expires_after', 'file', 'purpose']);
    const request = { file, purpose: 'fine-tune', expires_after: { anchor: 'created_at', seconds: 3600 } } as const;
    await expect(server.client.files.create(request)).rejects.toMatchObject({
      ...{ status: 400, param: 'expires_after', code: 'unsupported' },
    });
  });
});

describe('null', () => {
  test('stays where it is an item, and in the rows and values that others read', async () => {
    const stop = await post(server, '/v1/completions', { model: 'base', prompt: 'x', stop: ['a', null] });
    expect((await expectError(stop, 400)).param).toBe('stop');
    const { id } = await (await post(server, '/v1/zo/runs', { model: 'base' })).json();
    const forward = await post(server, `/v1/zo/runs/${id}/forward`, { data: [null] });
    expect((await expectError(forward, 400)).param).toBe('data.0');
  });

  test('is removed from bodies of any depth up to one that is refused', async () => {
    const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    for (const field of ['temperature', 'tools', 'metadata', 'chat_template_kwargs']) {
      const body = `{"model":"base","messages":[{"role":"user","content":"x"}],"${field}":${nested(100_000)}}`;
      expect((await expectError(await post(server, '/v1/chat/completions', body), 400)).code).toBe('invalid_json');
    }
    const given = `{"a":${nested(100_000)}}`;
    const call = { type: 'function', function: { name: 'now', arguments: given } };
    const messages = [{ role: 'assistant', content: '', tool_calls: [call] }];
    const inside = await post(server, '/v1/chat/completions', { model: 'base', messages });
    expect((await expectError(inside, 400)).code).toBe('invalid_json');
    const fine = { model: 'base', prompt: 'x', max_tokens: 1, metadata: JSON.parse(nested(200)) };
    expect((await post(server, '/v1/completions', fine)).status).toBe(200);
  });
});

describe('documentation', () => {
  const text = readFileSync(new URL('../../docs/http-api.md', import.meta.url), 'utf8');

  /** Rows of a table: a field with all places where the same is said of it. */
  function rowsOf(fields: readonly (readonly [place: string, name: string, ...rest: string[]])[]): string[] {
    const places = new Map<string, string[]>();
    for (const [place, name, ...rest] of fields) {
      const row = `\`${name}\` | PLACES | ${rest.join(' | ')}`;
      places.set(row, [...(places.get(row) ?? []), place]);
    }
    return [...places].map(([row, names]) => `| ${row.replace('PLACES', names.join(', '))} |`);
  }

  const flat = <Field>(fields: Record<string, Readonly<Record<string, Field>>>): [string, string, Field][] =>
    Object.entries(fields).flatMap(([place, known]) =>
      Object.entries(known).map(([name, field]): [string, string, Field] => [place, name, field]),
    );

  test('the two tables name every known field', () => {
    const ignored = rowsOf(flat<string>(ignoredFields));
    const refused = rowsOf(
      flat<{ why: string; neutral: readonly unknown[] }>(refusedFields).map(
        ([place, name, { why, neutral }]) =>
          [place, name, neutral.map((value) => `\`${JSON.stringify(value)}\``).join(', ') || 'nothing', why] as const,
      ),
    );
    const tables = [
      ['| Field | Of | Why it has no effect |', '|---|---|---|', ...ignored],
      ['| Field | Of | Accepted | Why not others |', '|---|---|---|---|', ...refused],
    ];
    // A failure shows the table as it should be.
    const missing = tables.map((table) => table.join('\n')).filter((table) => !text.includes(`\n\n${table}\n\n`));
    expect(missing.join('\n\n')).toBe('');
  });
});
