/**
 * Rotary position embeddings.
 *
 * @module
 */

import { rope } from '../../ops/rope.ts';
import { wholeQuads } from '../../tensor/axis.ts';
import { exactTolerance, type KernelCase } from '../case.ts';

export interface RopeShape {
  /** Rows of each probe. */
  rows: number;
  heads: number;
  keyHeads?: number;
  headWidth: number;
  probes?: number;
  rotaryWidth?: number;
  interleaved?: boolean;
  positions?: number;
  /** Queries and keys are turned by a launch each. */
  apart?: boolean;
  /** Heads that an invocation turns; chosen by the adapter otherwise. */
  headsAtOnce?: number;
}

export function ropeCase(shape: RopeShape): KernelCase {
  const { rows, heads, keyHeads = heads, headWidth, probes = 1 } = shape;
  const { rotaryWidth = headWidth, interleaved = false, positions = 50, apart = false, headsAtOnce } = shape;
  const all = rows * probes;
  return {
    operation: 'rope',
    name:
      `${probes}×${rows}, ${heads} + ${keyHeads} heads of ${headWidth}` +
      `${rotaryWidth < headWidth ? `, ${rotaryWidth} turned` : ''}${interleaved ? ', interleaved' : ''}` +
      `${apart ? ', apart' : ''}${headsAtOnce ? `, ${headsAtOnce} at once` : ''}`,
    tolerance: exactTolerance,
    flops: 3 * all * (heads + keyHeads) * rotaryWidth,
    bytes: 8 * all * (heads + keyHeads) * rotaryWidth,
    prepare(bed) {
      const { random } = bed;
      const pairs = rotaryWidth / 2;
      const table = new Float32Array(positions * rotaryWidth);
      for (let position = 0; position < positions; position++) {
        for (let pair = 0; pair < pairs; pair++) {
          const angle = position * 10_000 ** (-pair / pairs);
          table[position * rotaryWidth + pair] = Math.cos(angle);
          table[position * rotaryWidth + pairs + pair] = Math.sin(angle);
        }
      }
      const places = Uint32Array.from({ length: rows }, () => random.integer(0, positions - 1));
      places[rows - 1] = positions - 1;
      const context = bed.context({ count: probes });
      const positionBuffer = bed.upload(places);
      const tableBuffer = bed.upload(table);
      const operand = (name: string, count: number) => {
        const stride = wholeQuads(headWidth);
        const columns = count * stride;
        const data = random.normals(all * columns);
        const x = bed.activation(data, all, columns);
        const reference = (row: number): Float64Array => {
          const result = Float64Array.from(data.subarray(row * columns, (row + 1) * columns));
          const entry = places[row % rows]! * rotaryWidth;
          for (let head = 0; head < count; head++) {
            for (let pair = 0; pair < pairs; pair++) {
              const first = head * stride + (interleaved ? 2 * pair : pair);
              const second = interleaved ? first + 1 : first + pairs;
              const [a, b] = [result[first]!, result[second]!];
              const [cosine, sine] = [table[entry + pair]!, table[entry + pairs + pair]!];
              result[first] = a * cosine - b * sine;
              result[second] = a * sine + b * cosine;
            }
          }
          return result;
        };
        return {
          x,
          reset: () => x.buffer.write(data),
          output: { name, buffer: x.buffer, rows: all, columns, reference },
        };
      };
      const query = operand('query', heads);
      const key = operand('key', keyHeads);
      return {
        reset() {
          query.reset();
          key.reset();
        },
        record() {
          const rotary = { buffer: tableBuffer, rotaryWidth, interleaved };
          const launches = apart ? ([[query.x], [key.x]] as const) : ([[query.x, key.x]] as const);
          for (const turned of launches) rope(context, turned, positionBuffer, rotary, headWidth, headsAtOnce);
          return [query.output, key.output];
        },
      };
    },
  };
}

export const ropeShapes: readonly RopeShape[] = [
  { rows: 1, heads: 1, headWidth: 4 },
  { rows: 5, heads: 6, keyHeads: 2, headWidth: 16, probes: 2 },
  { rows: 13, heads: 2, headWidth: 20, rotaryWidth: 8, probes: 3 },
  { rows: 7, heads: 4, keyHeads: 1, headWidth: 8, interleaved: true },
  { rows: 3, heads: 5, headWidth: 24, rotaryWidth: 10, interleaved: true, probes: 2 },
  { rows: 5, heads: 3, keyHeads: 1, headWidth: 10, probes: 2 },
  { rows: 4, heads: 2, headWidth: 14, rotaryWidth: 6, interleaved: true },
  { rows: 33, heads: 8, headWidth: 64, positions: 4096 },
  { rows: 6, heads: 4, keyHeads: 2, headWidth: 10, probes: 2, apart: true },
];
