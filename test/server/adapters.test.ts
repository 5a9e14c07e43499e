import { expect, test } from 'vitest';
import { jobBody, startServer, uploadExamples } from './harness.ts';

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
