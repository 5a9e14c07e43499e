import { describe, expect, test } from 'vitest';
import { expectError, jobBody, post, startServer, uploadExamples } from './harness.ts';

test('an adapter is a model by its own name, beside its base', async () => {
  const server = await startServer({
    models: [
      { id: 'base', path: 'fake:base' },
      { id: 'poet', path: 'fake:base', lora: 'adapters/poet', base: 'base' },
    ],
  });
  const { client, engine } = server;
  expect(engine.loadRequests).toEqual([
    { id: 'base', path: 'fake:base' },
    { id: 'poet', path: 'fake:base', lora: 'adapters/poet' },
  ]);
  const { data } = await client.models.list();
  expect(data.map((model) => [model.id, (model as unknown as { parent: string | null }).parent])).toEqual([
    ['base', null],
    ['poet', 'base'],
  ]);
  await client.completions.create({ model: 'poet', prompt: 'a', max_tokens: 1 });
  expect(engine.generateRequests.at(-1)).toMatchObject({ model: 'poet' });
  const job = jobBody(await uploadExamples(server));
  await expect(client.fineTuning.jobs.create({ ...job, model: 'poet' })).rejects.toThrow(
    '"poet" is a model with an adapter; training starts from its base model "base".',
  );
  await expect(client.models.delete('poet')).rejects.toThrow('only fine-tuned models can be deleted');
});

const models = [
  { id: 'base', path: 'fake:base' },
  { id: 'poet', path: 'fake:base', lora: 'adapters/poet', base: 'base' },
  { id: 'critic', path: 'fake:base', lora: 'adapters/critic', base: 'base' },
];

const doors = [
  ['/v1/completions', { model: 'base', prompt: 'a', max_tokens: 1 }],
  ['/v1/chat/completions', { model: 'base', messages: [{ role: 'user', content: 'a' }], max_completion_tokens: 1 }],
] as const;

describe.each(doors)('%s', (path, body) => {
  test('takes adapters by name and by number', async () => {
    const server = await startServer({ models });
    const used = async (extra: object) => {
      const response = await post(server, path, { ...body, ...extra });
      expect(response.status, await response.text()).toBe(200);
      return server.engine.generateRequests.at(-1)!.adapters;
    };
    expect(await used({})).toBeUndefined();
    expect(await used({ adapters: [{ name: 'poet' }, { name: 'critic', weight: -0.5 }] })).toEqual([
      { name: 'poet', weight: 1 },
      { name: 'critic', weight: -0.5 },
    ]);
    expect(await used({ adapters: [] })).toEqual([]);
    expect(await used({ lora: [{ id: 1, scale: 0.25 }] })).toEqual([{ name: 'critic', weight: 0.25 }]);
    expect(await used({ model: 'poet' })).toBeUndefined();
  });

  test.each<[object, string | null, string]>([
    [{ adapters: [{ name: 'base' }] }, 'adapters.0.name', 'there is no adapter "base"; there are poet, critic'],
    [{ lora: [{ id: 2, scale: 1 }] }, 'lora.0.id', 'there is no adapter 2'],
    [{ lora: [], adapters: [] }, 'lora', 'give one'],
    [{ adapters: [{ name: 'poet', weight: 1e6 }] }, 'adapters.0.weight', '1000'],
    [{ adapters: [{ name: 'poet', scale: 1 }] }, 'adapters.0.scale', 'scale'],
    [{ lora: [{ id: 0 }] }, 'lora.0.scale', 'scale'],
  ])('%j is refused', async (extra, param, message) => {
    const error = await expectError(await post(await startServer({ models }), path, { ...body, ...extra }), 400);
    expect(error.param).toBe(param);
    expect(error.message).toContain(message);
  });
});

test.each(['', '/v1'])('scales of adapters, %s/lora-adapters', async (prefix) => {
  const server = await startServer({ models });
  const list = async () => (await fetch(`${server.url}${prefix}/lora-adapters`)).json();
  const shown = (poet: number, critic: number) => [
    { id: 0, name: 'poet', base: 'base', scale: poet },
    { id: 1, name: 'critic', base: 'base', scale: critic },
  ];
  expect(await list()).toEqual(shown(0, 0));
  const used = async (extra: object) => {
    await post(server, '/v1/completions', { model: 'base', prompt: 'a', max_tokens: 1, ...extra });
    return server.engine.generateRequests.at(-1)!.adapters;
  };
  const set = (scales: object[]) => post(server, `${prefix}/lora-adapters`, scales);
  expect(await (await set([{ id: 1, scale: 0.5 }])).json()).toEqual(shown(0, 0.5));
  expect(await used({})).toEqual([{ name: 'critic', weight: 0.5 }]);
  expect(await used({ adapters: [] })).toEqual([]);
  expect(await used({ model: 'poet' })).toBeUndefined();
  expect((await expectError(await set([{ id: 5, scale: 1 }]), 400)).param).toBe('0.id');
  const twice = await set([0, 0].map((id) => ({ id, scale: 1 })));
  expect((await expectError(twice, 400)).message).toContain('named twice');
  expect(await list()).toEqual(shown(0, 0.5));
  await set([]);
  expect(await list()).toEqual(shown(0, 0));
  expect(await used({})).toBeUndefined();
});
