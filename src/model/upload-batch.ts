/**
 * A packed batch as the input of a forward pass.
 *
 * @module
 */

import type { Probes } from '../ops/probes.ts';
import type { NamedBuffers } from '../tensor/named-buffers.ts';
import { type PackedBatch, slideRanges } from './batch.ts';
import { checkBatchIds } from './batch-ids.ts';
import { recurrents, windowOf } from './decoder.ts';
import type { Model } from './model.ts';
import type { ForwardInput } from './pass.ts';
import { runsOf, uploadRuns } from './runs.ts';
import { uploadPositions } from './upload-positions.ts';

/**
 * Uploads all of a batch but its labels, each array under its own name.
 *
 * @throws SubzeroError `invalid_data` for ids that the model has no row of
 */
export function uploadBatch(
  model: Model,
  batch: PackedBatch,
  probes: Pick<Probes, 'adapter'>,
  buffers: NamedBuffers,
): Pick<ForwardInput, 'ids' | 'positions' | 'tokenTypes' | 'ropeTables' | 'ranges' | 'windowRanges' | 'runs' | 'rows'> {
  const { decoder } = model;
  checkBatchIds(batch, decoder, probes);
  const window = windowOf(decoder);
  return {
    ids: buffers.upload('ids', batch.ids),
    ...uploadPositions(model, batch.positions, batch.lengths, buffers),
    ...(decoder.tokenTypes ? { tokenTypes: buffers.upload('token types', new Uint32Array(batch.ids.length)) } : {}),
    ranges: buffers.upload('ranges', batch.ranges),
    ...(window === undefined
      ? {}
      : { windowRanges: buffers.upload('window ranges', slideRanges(batch, window, decoder.mask)) }),
    ...(recurrents(decoder).length > 0 ? { runs: uploadRuns(runsOf(batch), batch.ids.length, buffers) } : {}),
    rows: batch.ids.length,
  };
}
