import { describe, expect, test } from 'vitest';
import { SubzeroError } from '../../src/errors.ts';
import { expectError, jobBody, jobWithStatus, startServer, until, uploadExamples } from './harness.ts';

describe('supervision', () => {
  test('/health and /ready', async () => {
    const server = await startServer();
    expect(await (await fetch(`${server.url}/health`)).json()).toEqual({ status: 'ok' });
    expect(await (await fetch(`${server.url}/ready`)).json()).toEqual({
      status: 'ready',
      adapter: 'fake adapter',
      models: ['base'],
    });
    server.engine.infoFailure = new SubzeroError('device_lost', 'the GPU went away');
    await expectError(await fetch(`${server.url}/ready`), 503);
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    const empty = await startServer({ models: [] });
    expect((await expectError(await fetch(`${empty.url}/ready`), 503)).code).toBe('not_ready');
  });

  test('/metrics counts requests, tokens, steps, and measures memory', async () => {
    const server = await startServer();
    await server.client.completions.create({ model: 'base', prompt: 'x', max_tokens: 4 });
    const file = await uploadExamples(server);
    const { id } = await server.client.fineTuning.jobs.create(jobBody(file, { steps: 3 }));
    await jobWithStatus(server, id, 'succeeded');
    await fetch(`${server.url}/nowhere`);
    const metrics = async () => (await fetch(`${server.url}/metrics`)).text();
    const text = await metrics();
    for (const line of [
      'subzero_http_requests_total{method="POST",route="/v1/completions",status="200"} 1',
      'subzero_http_request_seconds_count{method="POST",route="/v1/completions"} 1',
      'subzero_prompt_tokens_total 2',
      'subzero_completion_tokens_total 4',
      'subzero_training_steps_total 3',
      `subzero_training_loss ${1 / 3}`,
      'subzero_jobs_total{status="succeeded"} 1',
      'subzero_jobs_waiting 0',
      'subzero_gpu_bytes 1000',
      'subzero_gpu_category_bytes{category="weights"} 900',
      'subzero_gpu_available 1',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    // A path that a client made up must not become a label.
    expect(text).not.toContain('nowhere');
    server.engine.infoFailure = new SubzeroError('device_lost', 'the GPU went away');
    expect(await metrics()).toContain('subzero_gpu_available 0');
  });
});

describe('description', () => {
  test('/openapi.json describes every route with the bounds that are checked', async () => {
    const server = await startServer();
    const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
      openapi: string;
      paths: Record<string, object>;
      components: { schemas: Record<string, { properties: Record<string, Record<string, unknown>> }> };
    };
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths).sort()).toEqual([
      '/detokenize',
      '/health',
      '/lora-adapters',
      '/metrics',
      '/ready',
      '/tokenize',
      '/tokenizer_info',
      '/v1/batches',
      '/v1/batches/{batch_id}',
      '/v1/batches/{batch_id}/cancel',
      '/v1/bench',
      '/v1/chat/completions',
      '/v1/completions',
      '/v1/detokenize',
      '/v1/device',
      '/v1/embeddings',
      '/v1/evals',
      '/v1/evals/{eval_id}',
      '/v1/evals/{eval_id}/runs',
      '/v1/evals/{eval_id}/runs/{run_id}',
      '/v1/evals/{eval_id}/runs/{run_id}/cancel',
      '/v1/evals/{eval_id}/runs/{run_id}/output_items',
      '/v1/evals/{eval_id}/runs/{run_id}/output_items/{output_item_id}',
      '/v1/files',
      '/v1/files/{file_id}',
      '/v1/files/{file_id}/content',
      '/v1/fine_tuning/alpha/graders/run',
      '/v1/fine_tuning/alpha/graders/validate',
      '/v1/fine_tuning/jobs',
      '/v1/fine_tuning/jobs/{fine_tuning_job_id}',
      '/v1/fine_tuning/jobs/{fine_tuning_job_id}/cancel',
      '/v1/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints',
      '/v1/fine_tuning/jobs/{fine_tuning_job_id}/events',
      '/v1/fine_tuning/jobs/{fine_tuning_job_id}/pause',
      '/v1/fine_tuning/jobs/{fine_tuning_job_id}/resume',
      '/v1/lora-adapters',
      '/v1/models',
      '/v1/models/{model}',
      '/v1/tokenize',
      '/v1/tokenizer_info',
      '/v1/zo/runs',
      '/v1/zo/runs/{run_id}',
      '/v1/zo/runs/{run_id}/apply',
      '/v1/zo/runs/{run_id}/forward',
      '/v1/zo/runs/{run_id}/probe',
      '/v1/zo/runs/{run_id}/sample',
      '/v1/zo/runs/{run_id}/step',
      '/v1/zo/runs/{run_id}/trajectory',
    ]);
    const { schemas } = document.components;
    expect(schemas.ChatCompletionRequest!.properties.temperature).toMatchObject({ minimum: 0, maximum: 2 });
    expect(Object.keys(schemas.ZerothOrderHyperparameters!.properties)).toEqual(
      expect.arrayContaining(['optimizer', 'learning_rate', 'epsilon', 'rank', 'refresh_interval', 'queries', 'steps']),
    );
  });

  test('/docs is a page that needs nothing else', async () => {
    const server = await startServer();
    const response = await fetch(`${server.url}/docs`);
    const page = await response.text();
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(page).toContain('/v1/fine_tuning/jobs/{fine_tuning_job_id}/pause');
    expect(page).toContain('refresh_interval');
    expect(page).toContain('Query: <code>after, limit, order, purpose</code>');
    expect(page).toContain('a multipart form with <code>file, purpose</code>');
    expect(page).not.toMatch(/<script|<link|src=|https?:\/\/(?!127)/);
  });
});

describe('stopping', () => {
  test('running answers end, new work is refused, what takes too long is told so', async () => {
    const server = await startServer({ graceSeconds: 2 });
    server.engine.tokenMilliseconds = 10;
    const short = server.client.completions.create({ model: 'base', prompt: 'x', max_tokens: 8 });
    const long = await server.client.completions.create({ model: 'base', prompt: 'x', max_tokens: 5000, stream: true });
    await until(
      () => server.engine.generating,
      (count) => count === 2,
    );
    const closed = server.close();
    expect((await short).choices[0]!.text).toBe('abcdefgh');
    await expect(async () => {
      for await (const _ of long);
    }).rejects.toThrow('The server is stopping');
    await closed;
    expect(server.engine.generating).toBe(0);
    await expect(fetch(`${server.url}/health`)).rejects.toThrow();
    await server.close();
  });
});
