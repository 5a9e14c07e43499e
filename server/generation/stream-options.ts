/**
 * The one rule about `stream_options`.
 *
 * @module
 */

import { invalid } from '../errors.ts';
import type { Sampling } from '../schemas/generation.ts';

/** @throws ApiError 400 for options of a stream that was not asked for */
export function checkStreamOptions({ stream, stream_options: options }: Sampling): void {
  if (options && !stream) throw invalid('"stream_options" needs "stream": true.', 'stream_options');
}
