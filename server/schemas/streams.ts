/**
 * How server-sent events are described.
 *
 * @module
 */

import { z } from '@hono/zod-openapi';

export const eventStreamContent = {
  'text/event-stream': {
    schema: z
      .string()
      .openapi({ description: 'Lines `data: {…}`, each followed by an empty line; `data: [DONE]` at the end' }),
  },
} as const;
