/**
 * Where the tokens of a pass stand, for the kernels that place them.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { RopeTable } from '../ops/rope.ts';
import type { NamedBuffers } from '../tensor/named-buffers.ts';
import { rotationsOf } from './decoder.ts';
import type { Model } from './model.ts';
import type { ForwardInput } from './pass.ts';
import { fixedUpTo, type RopeScaling } from './rope-rules.ts';
import { type RopePosition, ropeRows } from './rope-table.ts';

/**
 * Uploads positions: as rows of the model's own tables, learned or rotary, or, where a sequence is so long that its
 * length decides its angles, as rows of tables that are made for the pass, one for each rotation.
 *
 * @param positions one per row
 * @param lengths tokens of the shortest and the longest sequence that a row belongs to: two per row
 * @throws SubzeroError `unsupported` where a row belongs to sequences that would turn it by different angles
 */
export function uploadPositions(
  { decoder }: Pick<Model, 'decoder'>,
  positions: Uint32Array,
  lengths: Uint32Array,
  buffers: NamedBuffers,
): Pick<ForwardInput, 'positions' | 'ropeTables'> {
  const upload = (values: Uint32Array): GpuBuffer => buffers.upload('positions', values);
  const offset = decoder.position?.offset ?? 0;
  const limit = fixedAnglesUpTo(decoder);
  if (!lengths.some((length) => length > limit)) {
    return { positions: upload(positions.map((value) => value + offset)) };
  }
  const tables = rotationsOf(decoder).map((rotation, index): [RopePosition, RopeTable] => {
    const rows = ropeRows(positions, decidingLengths(rotation.scaling, lengths), rotation);
    const { rotaryWidth, interleaved = false } = rotation;
    return [rotation, { buffer: buffers.upload(ropeRowsName(index), rows), rotaryWidth, interleaved }];
  });
  return { positions: upload(positions.map((_, row) => row)), ropeTables: new Map(tables) };
}

/** The tokens up to which the length of a sequence decides none of its angles. */
export function fixedAnglesUpTo(decoder: Model['decoder']): number {
  return Math.min(...rotationsOf(decoder).map(({ scaling }) => fixedUpTo(scaling)), Number.POSITIVE_INFINITY);
}

/** The names of the buffers for tables of passes. */
const ropeRowsName = (index: number): string => `rotary rows ${index}`;

/** The buffers that {@link uploadPositions} may need besides that of positions, as names and bytes. */
export function ropeRowsBytes({ decoder }: Pick<Model, 'decoder'>, rows: number): [string, number][] {
  const rotations = rotationsOf(decoder);
  if (rotations.every(({ scaling }) => fixedUpTo(scaling) === Number.POSITIVE_INFINITY)) return [];
  return rotations.map(({ rotaryWidth }, index) => [ropeRowsName(index), rows * rotaryWidth * 4]);
}

/** One length per row, the same for lengths of the same angles. */
function decidingLengths(scaling: RopeScaling, lengths: Uint32Array): Uint32Array {
  const { type } = scaling;
  const limit = fixedUpTo(scaling);
  const deciding = (length: number): number =>
    length <= limit ? 0 : type === 'longrope' ? Math.ceil(limit) + 1 : length;
  return Uint32Array.from({ length: lengths.length / 2 }, (_, row) => {
    const [shortest, longest] = [lengths[2 * row]!, lengths[2 * row + 1]!];
    if (deciding(shortest) === deciding(longest)) return deciding(longest);
    throw new SubzeroError(
      'unsupported',
      `options of ${shortest} to ${longest} tokens with one prompt: beyond ${limit} tokens the rope scaling ` +
        `"${type}" of this model turns the prompt otherwise for each of them; shorten the prompt`,
    );
  });
}
