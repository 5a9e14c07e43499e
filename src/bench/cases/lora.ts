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
}

export function loraCase(shape: LoraShape): KernelCase {
  const { rows, columns, inner, rank, probes = 1, activation = 'none', accumulate = false } = shape;
  const all = rows * probes;
  const words = [`${probes > 1 ? `${probes} × ` : ''}${rows}×${inner} → ${columns}`, `rank ${rank}`, activation];
  if (accumulate) words.push('accumulate');
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
      const tensor = (count: number, deviation: number) =>
        Array.from({ length: probes }, () => random.normals(count, deviation));
      const a = tensor(rank * inner, 1 / Math.sqrt(inner));
      const b = tensor(columns * rank, 1 / Math.sqrt(rank));
      bed.reserve(all);
      const context = bed.context({ count: probes, aligned: { a, b } });
      context.probes.adapter = { lora: new Map([['w', { rank, scale, a: 'a', b: 'b' }]]) };
      const weight = bed.weight('w', matrix);
      const x = bed.activation(xData, all, inner);
      const target = accumulate ? bed.activation(before, all, columns) : undefined;
      let last: ReturnType<typeof linear> | undefined;
      return {
        reset: () => target?.buffer.write(before),
        record() {
          if (last && last !== target) bed.workspace.give(last);
          last = linear(context, x, weight, { activation, ...(target ? { addTo: target } : {}) });
          return [
            {
              name: 'y',
              buffer: last.buffer,
              rows: all,
              columns,
              leastScale: 0.3,
              reference(row) {
                const probe = Math.floor(row / rows);
                const x64 = xData.subarray(row * inner, (row + 1) * inner);
                const product = (m: ArrayLike<number>, start: number) =>
                  x64.reduce((sum, value, k) => sum + value * m[start + k]!, 0);
                const t = Array.from({ length: rank }, (_, j) => scale * product(a[probe]!, j * inner));
                return Float64Array.from({ length: columns }, (_, column) => {
                  let value = product(matrix.values, column * inner);
                  for (let j = 0; j < rank; j++) value += t[j]! * b[probe]![column * rank + j]!;
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
  // Wider than the layer itself.
  { rows: 2, columns: 7, inner: 12, rank: 30, probes: 128 },
];
