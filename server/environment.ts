/**
 * The types of Hono's context in this application.
 *
 * @module
 */

import type { Context } from 'hono';
import type { Logger } from './log.ts';

export interface Environment {
  Variables: {
    requestId: string;
    log: Logger;
  };
}

export type ApplicationContext = Context<Environment>;
