/**
 * Where the tokens of a pass stand, for the kernels that place them.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { NamedBuffers } from '../tensor/named-buffers.ts';
import type { Model } from './model.ts';
import type { ForwardInput } from './pass.ts';
import { fixedUpTo, type RopeScaling } from './rope-rules.ts';
import { ropeRows } from './rope-table.ts';

/**
 * Uploads positions: as rows of the model's own table, learned or rotary, or, where a sequence is so long that its
 * length decides its angles, as rows of a table that is made for the pass.
 *
 * @param positions one per row
 * @param lengths tokens of the shortest and the longest sequence that a row belongs to: two per row
 * @throws SubzeroError `unsupported` where a row belongs to sequences that would turn it by different angles
 */
export function uploadPositions(
  model: Pick<Model, 'decoder'>,
  positions: Uint32Array,
  lengths: Uint32Array,
  buffers: NamedBuffers,
): Pick<ForwardInput, 'positions' | 'ropeTable'> {
  const { position } = model.decoder;
  if (position.kind === 'learned') {
    return {
      positions: buffers.upload(
        'positions',
        positions.map((value) => value + position.offset),
      ),
    };
  }
  const limit = fixedUpTo(position.scaling);
  if (!lengths.some((length) => length > limit)) return { positions: buffers.upload('positions', positions) };
  const deciding = decidingLengths(position.scaling, lengths, limit);
  return {
    positions: buffers.upload(
      'positions',
      positions.map((_, row) => row),
    ),
    ropeTable: {
      buffer: buffers.upload(ropeRowsName, ropeRows(positions, deciding, position)),
      rotaryWidth: position.rotaryWidth,
      interleaved: false,
    },
  };
}

/** The name of the buffer for tables of passes. */
const ropeRowsName = 'rotary rows';

/** The buffer that {@link uploadPositions} may need besides that of positions, as name and bytes. */
export function ropeRowsBytes({ decoder: { position } }: Pick<Model, 'decoder'>, rows: number): [string, number][] {
  if (position.kind !== 'rope' || fixedUpTo(position.scaling) === Number.POSITIVE_INFINITY) return [];
  return [[ropeRowsName, rows * position.rotaryWidth * 4]];
}

/** One length per row, the same for lengths of the same angles. */
function decidingLengths({ type }: RopeScaling, lengths: Uint32Array, limit: number): Uint32Array {
  const deciding = (length: number): number =>
    length <= limit ? 0 : type === 'longrope' ? Math.ceil(limit) + 1 : length;
  return Uint32Array.from({ length: lengths.length / 2 }, (_, row) => {
    const [shortest, longest] = [lengths[2 * row]!, lengths[2 * row + 1]!];
    if (deciding(shortest) === deciding(longest)) return deciding(longest);
    throw new SubzeroError(
      'unsupported',
      `options of ${shortest} to ${longest} tokens with one prompt: beyond ${limit} tokens the rope scaling "${type}" of this model ` +
        'turns the prompt otherwise for each of them; shorten the prompt',
    );
  });
}
