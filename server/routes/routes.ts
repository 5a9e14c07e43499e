/**
 * What every file of this folder is.
 *
 * @module
 */

import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Environment } from '../environment.ts';
import type { Services } from '../services.ts';

export type Application = OpenAPIHono<Environment>;

/** Adds the routes of one resource. */
export type Routes = (application: Application, services: Services) => void;
