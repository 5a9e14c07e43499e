/**
 * GET /v1/models, GET and DELETE /v1/models/{model}.
 *
 * Names may hold slashes, which arrive as `/` or `%2F`; they are looked up in the registry's list and nowhere else.
 *
 * @module
 */

import { createRoute, z } from '@hono/zod-openapi';
import type { ModelInfo } from '../../src/engine/types.ts';
import { ApiError } from '../errors.ts';
import type { ModelEntry } from '../models.ts';
import { errorResponse, jsonResponse, modelName } from '../schemas/common.ts';
import { type Model, model, modelDeleted, modelList } from '../schemas/models.ts';
import type { Routes } from './routes.ts';

const tags = ['Models'];
const params = z.object({ model: modelName });

const listRoute = createRoute({
  method: 'get',
  path: '/v1/models',
  tags,
  summary: 'List the models that can be named in requests',
  responses: jsonResponse(modelList, 'Base models, then fine-tuned ones'),
});

const getRoute = createRoute({
  method: 'get',
  path: '/v1/models/{model}',
  tags,
  summary: 'Describe a model',
  request: { params },
  responses: jsonResponse(model, 'The model'),
});

const deleteRoute = createRoute({
  method: 'delete',
  path: '/v1/models/{model}',
  tags,
  summary: 'Delete a fine-tuned model',
  description: 'Takes it off the list and out of memory. Models that the server was started with cannot be deleted.',
  request: { params },
  responses: { ...jsonResponse(modelDeleted, 'It is gone'), ...errorResponse },
});

/** @param loaded what the engine says now of the models in memory */
function toModel({ id, createdAt, base, info }: ModelEntry, loaded: readonly ModelInfo[]): Model {
  const live = loaded.find((model) => model.id === info?.id);
  return {
    id,
    object: 'model',
    created: createdAt,
    owned_by: 'subzero',
    parent: base,
    loaded: info !== undefined,
    context_length: info?.contextLength ?? null,
    parameter_count: info?.parameterCount ?? null,
    architecture: info?.architecture ?? null,
    weight_bytes: live?.weightBytes ?? null,
    shares_weights_with: live?.sharesWeightsWith ?? [],
  };
}

export const modelRoutes: Routes = (application, { engine, models }) => {
  application.openapi(listRoute, async (context) => {
    const loaded = await engine.models();
    return context.json({ object: 'list' as const, data: models.list().map((entry) => toModel(entry, loaded)) }, 200);
  });

  // The pattern with slashes is not one that the OpenAPI description can write, so route and description part here.
  application.openAPIRegistry.registerPath(getRoute);
  application.get('/v1/models/:model{.+}', async (context) => {
    const id = context.req.param('model');
    const entry = models.find(id);
    if (!entry) {
      throw new ApiError(
        404,
        `The model "${id.slice(0, 256)}" does not exist here. GET /v1/models lists those that do.`,
        {
          param: 'model',
          code: 'model_not_found',
        },
      );
    }
    return context.json(toModel(entry, await engine.models()));
  });

  application.openAPIRegistry.registerPath(deleteRoute);
  application.delete('/v1/models/:model{.+}', async (context) => {
    const id = context.req.param('model');
    await models.remove(id);
    return context.json({ id, object: 'model', deleted: true });
  });
};
