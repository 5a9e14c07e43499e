/**
 * LoRA beside a linear layer, with A and B of each probe.
 *
 * @module
 */

import type { MatmulActivation } from '../../ops/activation.ts';
import { linear } from '../../ops/linear.ts';
import { exactTolerance, type KernelCase } from '../case.ts';
import { store } from '../storage.ts';
import { activate } from './linear.ts';

export interface LoraShape {
  /** Rows of each probe. */
  rows: number;
  columns: number;
  inner: number;
  rank: number;
  probes?: number;
  activation?: MatmulActivation;
  /** Add to what is there, as the residual stream does. */
  accumulate?: boolean;
  /** Instead of probes: this many adapters, of which every third row has none and others have some, by factors. */
  adapters?: number;
  /** With gains, as DoRA has them. */
  gains?: boolean;
}

export function loraCase(shape: LoraShape): KernelCase {
  const { rows, columns, inner, rank, probes = 1, activation = 'none', accumulate = false } = shape;
  const { adapters, gains = false } = shape;
  const all = rows * probes;
  const words = [`${probes > 1 ? `${probes} × ` : ''}${rows}×${inner} → ${columns}`, `rank ${rank}`, activation];
  if (accumulate) words.push('accumulate');
  if (adapters !== undefined) words.push(`${adapters} adapters by row`);
  if (gains) words.push('gains');
  return {
    operation: 'linear with LoRA',
    name: words.join(', '),
    tolerance: exactTolerance,
    flops: 2 * all * (inner * columns + rank * (inner + columns)),
    bytes: 4 * (columns * inner + all * (inner + columns) + probes * rank * (inner + columns)),
    prepare(bed) {
      const { random } = bed;
      const scale = 0.5 + random.uniform();
      const matrix = store(random.normals(columns * inner, 1 / Math.sqrt(inner)), columns, inner, 'f32');
      const xData = random.normals(all * inner);
      const before = random.normals(all * columns);
      const copies = adapters ?? probes;
      const tensor = (count: number, deviation: number) =>
        Array.from({ length: copies }, () => random.normals(count, deviation));
      const a = tensor(rank * inner, 1 / Math.sqrt(inner));
      const b = tensor(columns * rank, 1 / Math.sqrt(rank));
      const gain = tensor(columns, 1);
      const bias = random.normals(columns);
      bed.reserve(all);
      const adapter = {
        lora: new Map([['w', { rank, scale, a: 'a', b: 'b', ...(gains ? { gain: 'gain' } : {}) }]]),
      };
      const aligned = (place: number) => ({ a: [a[place]!], b: [b[place]!], gain: [gain[place]!] });
      const context = bed.context({
        count: probes,
        ...(adapters === undefined ? { aligned: { a, b, ...(gains ? { gain } : {}) } } : {}),
        ...(gains ? { vectors: { bias: Array.from({ length: probes }, () => bias) } } : {}),
      });
      // A row with gains has one adapter alone, others have sums of several.
      const factors = Float32Array.from({ length: copies * all }, (_, index) => {
        const [place, row] = [Math.floor(index / all), index % all];
        if (adapters === undefined) return 1;
        if (row % 3 === 0) return 0;
        return gains ? Number(row % adapters === place) : random.normals(1)[0]!;
      });
      if (adapters === undefined) context.probes.adapter = adapter;
      else {
        const table = bed.upload(factors);
        context.probes.rowAdapters = {
          adapters: Array.from({ length: adapters }, (_, place) => ({
            ...bed.context({ count: 1, aligned: aligned(place) }).probes,
            adapter,
          })),
          factors: table,
          labelFactors: table,
        };
      }
      const weight = bed.weight('w', matrix);
      const x = bed.activation(xData, all, inner);
      const target = accumulate ? bed.activation(before, all, columns) : undefined;
      let last: ReturnType<typeof linear> | undefined;
      return {
        reset: () => target?.buffer.write(before),
        record() {
          if (last && last !== target) bed.workspace.give(last);
          last = linear(context, x, weight, {
            activation,
            ...(gains ? { bias: 'bias' } : {}),
            ...(target ? { addTo: target } : {}),
          });
          return [
            {
              name: 'y',
              buffer: last.buffer,
              rows: all,
              columns,
              leastScale: 0.3,
              reference(row) {
                const own = Array.from({ length: copies }, (_, place) => place).filter((place) =>
                  adapters === undefined ? place === Math.floor(row / rows) : factors[place * all + row] !== 0,
                );
                const x64 = xData.subarray(row * inner, (row + 1) * inner);
                const product = (m: ArrayLike<number>, start: number) =>
                  x64.reduce((sum, value, k) => sum + value * m[start + k]!, 0);
                const t = own.map((place) => {
                  const factor = adapters === undefined ? 1 : factors[place * all + row]!;
                  return Array.from({ length: rank }, (_, j) => factor * scale * product(a[place]!, j * inner));
                });
                return Float64Array.from({ length: columns }, (_, column) => {
                  let value = product(matrix.values, column * inner);
                  for (const [index, place] of own.entries()) {
                    for (let j = 0; j < rank; j++) value += t[index]![j]! * b[place]![column * rank + j]!;
                    if (gains) value *= gain[place]![column]!;
                  }
                  if (gains) value += bias[column]!;
                  return activate(value, activation) + (accumulate ? before[row * columns + column]! : 0);
                });
              },
            },
          ];
        },
      };
    },
  };
}

export const loraShapes: readonly LoraShape[] = [
  { rows: 1, columns: 1, inner: 4, rank: 1 },
  { rows: 5, columns: 33, inner: 100, rank: 8, probes: 3 },
  { rows: 17, columns: 64, inner: 64, rank: 3, probes: 2, accumulate: true },
  { rows: 9, columns: 50, inner: 28, rank: 16, activation: 'relu', probes: 2 },
  { rows: 3, columns: 21, inner: 40, rank: 5, activation: 'gelu' },
  { rows: 3, columns: 21, inner: 40, rank: 5, activation: 'gelu-tanh' },
  { rows: 3, columns: 21, inner: 40, rank: 5, activation: 'silu' },
  { rows: 11, columns: 21, inner: 40, rank: 5, activation: 'gelu', adapters: 3 },
  { rows: 70, columns: 36, inner: 24, rank: 2, accumulate: true, adapters: 2 },
  { rows: 7, columns: 20, inner: 16, rank: 3, activation: 'silu', gains: true },
  { rows: 12, columns: 36, inner: 32, rank: 4, accumulate: true, adapters: 2, gains: true },
  // Wider than the layer itself.
  { rows: 2, columns: 7, inner: 12, rank: 30, probes: 128 },
];
