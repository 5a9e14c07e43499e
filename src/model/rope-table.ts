/**
 * Tables of rotary position embedding: cosines and sines of every position, so that all scaling rules are one kernel.
 *
 * @module
 */

import { type RopeScaling, ropeFrequencies } from './rope-rules.ts';

/** How heads are turned by their positions. */
export interface RopePosition {
  theta: number;
  /** Elements of a head that rotate, its first ones. */
  rotaryWidth: number;
  scaling: RopeScaling;
  /** Pairs are neighbouring elements instead of elements half the width apart. */
  interleaved?: boolean;
  /** Heads turn the other way round. */
  reversed?: boolean;
  /** A factor that grows with the position p, 1 + beta·log(1 + ⌊p / context⌋), as queries of Llama 4 have it. */
  growth?: { beta: number; context: number };
}

/** The table that kernels/rope.wgsl reads: per position the cosines of all pairs, then their sines. */
export function ropeTable(positions: number, rotation: RopePosition): Float32Array {
  const { rotaryWidth, theta, scaling } = rotation;
  const angles = ropeFrequencies(rotaryWidth, theta, scaling);
  const table = new Float32Array(positions * rotaryWidth);
  for (let position = 0; position < positions; position++) writeRow(table, position, position, rotation, angles);
  return table;
}

/**
 * A table with a row for each token of a pass, for rules whose angles depend on the length of the sequence.
 *
 * @param positions of the tokens
 * @param lengths of the sequences that the tokens belong to, one per token
 */
export function ropeRows(positions: Uint32Array, lengths: Uint32Array, rotation: RopePosition): Float32Array {
  const { rotaryWidth, theta, scaling } = rotation;
  const anglesOf = new Map<number, ReturnType<typeof ropeFrequencies>>();
  const table = new Float32Array(positions.length * rotaryWidth);
  for (const [row, position] of positions.entries()) {
    const length = lengths[row]!;
    let angles = anglesOf.get(length);
    if (!angles) {
      angles = ropeFrequencies(rotaryWidth, theta, scaling, length);
      anglesOf.set(length, angles);
    }
    writeRow(table, row, position, rotation, angles);
  }
  return table;
}

function writeRow(
  table: Float32Array,
  row: number,
  position: number,
  { rotaryWidth: width, reversed, growth }: RopePosition,
  { frequencies, attentionFactor }: ReturnType<typeof ropeFrequencies>,
): void {
  const factor = attentionFactor * (growth ? 1 + growth.beta * Math.log1p(Math.floor(position / growth.context)) : 1);
  for (let pair = 0; pair < width / 2; pair++) {
    const angle = position * frequencies[pair]!;
    table[row * width + pair] = Math.cos(angle) * factor;
    table[row * width + width / 2 + pair] = Math.sin(angle) * (reversed ? -factor : factor);
  }
}
