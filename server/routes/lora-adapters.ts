/**
 * The adapters of PEFT that are served, in llama.cpp's shapes and at its address, and under /v1 as everything else
 * here.
 *
 * @module
 */

import { createRoute } from '@hono/zod-openapi';
import { loraAdapters, loraScales } from '../schemas/adapters.ts';
import { jsonBody, jsonResponse } from '../schemas/common.ts';
import type { Routes } from './routes.ts';

const tags = ['Models'];

const listRoute = (base: string) =>
  createRoute({
    method: 'get',
    path: `${base}/lora-adapters`,
    tags,
    summary: 'List the LoRA adapters and their scales',
    responses: jsonResponse(loraAdapters, 'The adapters'),
  });

const scaleRoute = (base: string) =>
  createRoute({
    method: 'post',
    path: `${base}/lora-adapters`,
    tags,
    summary: 'Set the scales of adapters for requests to their base models',
    description: 'Adapters that are left out get the scale 0. Requests that name adapters are not affected.',
    request: { body: jsonBody(loraScales) },
    responses: jsonResponse(loraAdapters, 'The adapters'),
  });

export const loraAdapterRoutes: Routes = (application, { models }) => {
  for (const base of ['', '/v1']) {
    application.openapi(listRoute(base), (context) => context.json(models.adapters(), 200));
    application.openapi(scaleRoute(base), (context) => {
      models.setScales(context.req.valid('json'));
      return context.json(models.adapters(), 200);
    });
  }
};
