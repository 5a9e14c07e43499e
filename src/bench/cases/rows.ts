/**
 * Row copies, the gated activation and the label loss.
 *
 * @module
 */

import { activationNumber, type MatmulActivation } from '../../ops/activation.ts';
import { recordLabelLoss } from '../../ops/label-loss.ts';
import { add, gate, gateByPart, gatePacked, gatherRows, splitHeads, storeRows } from '../../ops/rows.ts';
import { scaleBuffer } from '../../ops/scale.ts';
import { type PackedOrder, packedOrders, regroup, split } from '../../ops/split.ts';
import { wholeQuads } from '../../tensor/axis.ts';
import type { Activation } from '../../tensor/workspace.ts';
import { exactTolerance, type KernelCase } from '../case.ts';
import { activate } from './linear.ts';

export interface GatherShape {
  /** Rows of each probe, of which `count` are picked. */
  rows: number;
  count: number;
  columns: number;
  probes?: number;
}

export function gatherCase({ rows, count, columns, probes = 1 }: GatherShape): KernelCase {
  return {
    operation: 'gather',
    name: `${probes}×${count} of ${rows}×${columns}`,
    tolerance: 0,
    flops: 0,
    bytes: 8 * probes * count * columns,
    prepare(bed) {
      const { random } = bed;
      const data = random.normals(probes * rows * columns);
      const indices = Uint32Array.from({ length: count }, () => random.integer(0, rows - 1));
      bed.reserve(probes * Math.max(rows, count));
      const context = bed.context({ count: probes });
      const x = bed.activation(data, probes * rows, columns);
      const indexBuffer = bed.upload(indices);
      let last: Activation | undefined;
      return {
        record() {
          if (last) bed.workspace.give(last);
          last = gatherRows(context, x, indexBuffer, count);
          return [
            {
              name: 'y',
              buffer: last.buffer,
              rows: probes * count,
              columns,
              guarded: true,
              reference(row) {
                const source = Math.floor(row / count) * rows + indices[row % count]!;
                return data.subarray(source * columns, (source + 1) * columns);
              },
            },
          ];
        },
      };
    },
  };
}

export function storeCase({ rows, count, columns }: GatherShape): KernelCase {
  return {
    operation: 'store',
    name: `${count} into ${rows}×${columns}`,
    tolerance: 0,
    flops: 0,
    bytes: 16 * count * columns,
    prepare(bed) {
      const { random } = bed;
      // Distinct places: which of two writes to one place wins is not defined.
      const places = Array.from({ length: rows }, (_, row) => row);
      for (let index = 0; index < count; index++) {
        const other = random.integer(index, rows - 1);
        [places[index], places[other]] = [places[other]!, places[index]!];
      }
      const slots = Uint32Array.from(places.slice(0, count));
      const context = bed.context({ count: 1 });
      const slotBuffer = bed.upload(slots);
      const operand = (name: string) => {
        const data = random.normals(count * columns);
        const before = random.normals(rows * columns);
        const cached = bed.upload(before);
        const reference = (row: number): ArrayLike<number> => {
          const source = slots.indexOf(row);
          const [from, index] = source < 0 ? [before, row] : [data, source];
          return from.subarray(index * columns, (index + 1) * columns);
        };
        return {
          x: bed.activation(data, count, columns),
          cached,
          reset: () => cached.write(before),
          output: { name, buffer: cached, rows, columns, reference },
        };
      };
      const keys = operand('keys');
      const values = operand('values');
      return {
        reset() {
          keys.reset();
          values.reset();
        },
        record() {
          storeRows(context, keys.x, values.x, slotBuffer, { keys: keys.cached, values: values.cached });
          return [keys.output, values.output];
        },
      };
    },
  };
}

export const gatherShapes: readonly GatherShape[] = [
  { rows: 1, count: 1, columns: 1 },
  { rows: 9, count: 4, columns: 33, probes: 3 },
  { rows: 70, count: 70, columns: 64, probes: 2 },
  { rows: 500, count: 3, columns: 100 },
];

export interface HeadSplitShape {
  rows: number;
  heads: number;
  width: number;
}

export function headSplitCase({ rows, heads, width }: HeadSplitShape): KernelCase {
  const columns = heads * width;
  return {
    operation: 'head split',
    name: `${rows}×${heads}×2×${width}`,
    tolerance: 0,
    flops: 0,
    bytes: 16 * rows * columns,
    prepare(bed) {
      const data = bed.random.normals(2 * rows * columns);
      bed.reserve(rows);
      const context = bed.context({ count: 1 });
      const x = bed.activation(data, rows, 2 * columns);
      let last: Activation[] = [];
      return {
        record() {
          bed.workspace.give(...last);
          last = splitHeads(context, x, width);
          return last.map(({ buffer }, which) => ({
            ...{ name: `part ${which}`, buffer, rows, columns, guarded: true },
            reference: (row) =>
              Float64Array.from({ length: columns }, (_, column) => {
                const head = row * heads + Math.floor(column / width);
                return data[(2 * head + which) * width + (column % width)]!;
              }),
          }));
        },
      };
    },
  };
}

export const headSplitShapes: readonly HeadSplitShape[] = [
  { rows: 1, heads: 1, width: 4 },
  { rows: 7, heads: 3, width: 20 },
];

export interface GateShape {
  rows: number;
  columns: number;
  /** Deviation of the inputs; large ones reach where exp overflows. */
  deviation?: number;
  activation?: MatmulActivation;
}

export function gateCase({ rows, columns, deviation = 1, activation = 'silu' }: GateShape): KernelCase {
  return {
    operation: 'gate',
    name: `${rows}×${columns}, deviation ${deviation}, ${activation}`,
    tolerance: exactTolerance,
    flops: 5 * rows * columns,
    bytes: 12 * rows * columns,
    prepare(bed) {
      const { random } = bed;
      const gateData = random.normals(rows * columns, deviation);
      const upData = random.normals(rows * columns);
      const context = bed.context({ count: 1 });
      const gated = bed.activation(gateData, rows, columns);
      const up = bed.activation(upData, rows, columns);
      return {
        reset: () => gated.buffer.write(gateData),
        record() {
          gate(context, gated, up, activation);
          return [
            {
              name: 'gate',
              buffer: gated.buffer,
              rows,
              columns,
              reference: (row) =>
                Float64Array.from({ length: columns }, (_, column) => {
                  const value = gateData[row * columns + column]!;
                  return activate(value, activation) * upData[row * columns + column]!;
                }),
            },
          ];
        },
      };
    },
  };
}

/** The same with the gate and up in one activation. */
export function gatePackedCase({ rows, columns, deviation = 1, activation = 'silu' }: GateShape): KernelCase {
  return {
    operation: 'gate',
    name: `packed ${rows}×${columns}, deviation ${deviation}, ${activation}`,
    tolerance: exactTolerance,
    flops: 5 * rows * columns,
    bytes: 12 * rows * columns,
    prepare(bed) {
      const { random } = bed;
      const scales = [deviation, 1];
      const data = Float32Array.from(random.normals(2 * rows * columns), (value, index) => {
        return value * scales[Math.floor((index % (2 * columns)) / columns)]!;
      });
      const context = bed.context({ count: 1 });
      bed.reserve(rows);
      const packed = bed.activation(data, rows, 2 * columns);
      let last: Activation | undefined;
      return {
        record() {
          if (last) bed.workspace.give(last);
          last = gatePacked(context, packed, activation);
          return [
            {
              name: 'y',
              buffer: last.buffer,
              rows,
              columns,
              guarded: true,
              reference: (row) =>
                Float64Array.from({ length: columns }, (_, column) => {
                  const at = 2 * row * columns + column;
                  return activate(data[at]!, activation) * data[at + columns]!;
                }),
            },
          ];
        },
      };
    },
  };
}

/** The gate of a run of the columns of something wider. */
export function gateByPartCase(shape: GateShape & { parts: number; part: number; scale: number }): KernelCase {
  const { rows, columns, deviation = 1, activation = 'silu', parts, part, scale } = shape;
  return {
    operation: 'gate',
    name: `${rows}×${columns} by part ${part} of ${parts}, ${activation}`,
    tolerance: exactTolerance,
    flops: 6 * rows * columns,
    bytes: 12 * rows * columns,
    prepare(bed) {
      const { random } = bed;
      const gateData = random.normals(rows * columns, deviation);
      const wideData = random.normals(rows * parts * columns);
      const context = bed.context({ count: 1 });
      const gated = bed.activation(gateData, rows, columns);
      const wide = bed.activation(wideData, rows, parts * columns);
      return {
        reset: () => gated.buffer.write(gateData),
        record() {
          gateByPart(context, gated, wide, { part, activation, scale });
          return [
            {
              name: 'gate',
              buffer: gated.buffer,
              rows,
              columns,
              reference: (row) =>
                Float64Array.from({ length: columns }, (_, column) => {
                  const value = activate(gateData[row * columns + column]!, activation);
                  return scale * value * wideData[(row * parts + part) * columns + column]!;
                }),
            },
          ];
        },
      };
    },
  };
}

export const gateByPartShapes: readonly Parameters<typeof gateByPartCase>[0][] = [
  { rows: 1, columns: 4, parts: 1, part: 0, scale: 1 },
  { rows: 37, columns: 12, parts: 5, part: 4, scale: 11.3, activation: 'gelu-tanh' },
  { rows: 9, columns: 260, parts: 3, part: 1, scale: 0.7, deviation: 4 },
];

export interface SplitShape {
  rows: number;
  heads: number;
  keyHeads: number;
  headWidth: number;
  order: PackedOrder;
}

export function splitCase({ rows, heads, keyHeads, headWidth, order }: SplitShape): KernelCase {
  const total = (heads + 2 * keyHeads) * headWidth;
  return {
    operation: 'split',
    name: `${rows} rows, ${heads}/${keyHeads} heads of ${headWidth}, ${order}`,
    tolerance: 0,
    flops: 0,
    bytes: 8 * rows * total,
    prepare(bed) {
      const data = bed.random.normals(rows * total);
      const context = bed.context({ count: 1 });
      bed.reserve(rows);
      const packed = bed.activation(data, rows, total);
      const group = heads / keyHeads;
      // The place of a head in a packed row.
      const places: Record<PackedOrder, [query: (head: number) => number, ...((head: number) => number)[]]> = {
        blocks: [(head) => head, (head) => heads + head, (head) => heads + keyHeads + head],
        groups: [
          (head) => Math.floor(head / group) * (group + 2) + (head % group),
          (head) => head * (group + 2) + group,
          (head) => head * (group + 2) + group + 1,
        ],
      };
      let last: Activation[] = [];
      return {
        record() {
          bed.workspace.give(...last);
          last = split(context, packed, { heads, keyHeads, headWidth, order });
          return last.map(({ buffer, columns }, part) => ({
            name: ['query', 'key', 'value'][part]!,
            buffer,
            rows,
            columns,
            guarded: true,
            reference: (row) =>
              Float32Array.from({ length: columns }, (_, column) => {
                const place = places[order][part]!(Math.floor(column / headWidth));
                return data[row * total + place * headWidth + (column % headWidth)]!;
              }),
          }));
        },
      };
    },
  };
}

export const splitShapes: readonly SplitShape[] = packedOrders.flatMap((order) => [
  { rows: 1, heads: 1, keyHeads: 1, headWidth: 4, order },
  { rows: 5, heads: 3, keyHeads: 3, headWidth: 12, order },
  { rows: 33, heads: 8, keyHeads: 2, headWidth: 16, order },
  { rows: 7, heads: 71, keyHeads: 1, headWidth: 64, order },
]);

export interface RegroupShape {
  rows: number;
  groups: number;
  pieces: readonly number[];
  first: number;
  count: 1 | 2 | 3;
}

export function regroupCase({ rows, groups, pieces, first, count }: RegroupShape): KernelCase {
  const before = (piece: number): number => pieces.slice(0, piece).reduce((sum, size) => sum + size, 0);
  const groupWidth = before(pieces.length);
  const taken = groups * (before(first + count) - before(first));
  return {
    operation: 'regroup',
    name: `${rows} rows, ${groups} groups of ${pieces.join(' + ')}, ${count} from ${first}`,
    tolerance: 0,
    flops: 0,
    bytes: 8 * rows * taken,
    prepare(bed) {
      const stride = wholeQuads(groups * groupWidth);
      const data = bed.random.normals(rows * stride);
      const context = bed.context({ count: 1 });
      bed.reserve(rows);
      const x = bed.activation(data, rows, stride);
      let last: Activation | undefined;
      return {
        record() {
          if (last) bed.workspace.give(last);
          last = regroup(context, x, { groups, pieces, first, count });
          const { buffer, columns } = last;
          return [
            {
              ...{ name: 'y', buffer, rows, columns, guarded: true },
              reference: (row) => {
                const result: number[] = [];
                for (let piece = first; piece < first + count; piece++) {
                  for (let group = 0; group < groups; group++) {
                    const start = row * stride + group * groupWidth + before(piece);
                    result.push(...data.subarray(start, start + pieces[piece]!));
                  }
                }
                return Float32Array.from({ length: columns }, (_, column) => result[column] ?? 0);
              },
            },
          ];
        },
      };
    },
  };
}

export const regroupShapes: readonly RegroupShape[] = [
  { rows: 1, groups: 1, pieces: [1, 1], first: 0, count: 1 },
  { rows: 9, groups: 3, pieces: [2, 2], first: 1, count: 1 },
  { rows: 5, groups: 2, pieces: [8, 8, 24, 24], first: 0, count: 3 },
  { rows: 33, groups: 4, pieces: [12, 12, 4, 4], first: 3, count: 1 },
  { rows: 7, groups: 5, pieces: [3, 1, 5], first: 1, count: 2 },
];

export const gateShapes: readonly GateShape[] = [
  { rows: 1, columns: 4 },
  { rows: 33, columns: 100 },
  { rows: 7, columns: 2052, deviation: 100 },
  ...(Object.keys(activationNumber) as MatmulActivation[]).map((activation) => ({
    rows: 3,
    columns: 64,
    deviation: 4,
    activation,
  })),
];

export interface AddShape {
  rows: number;
  columns: number;
  /** The factor of what is added. */
  scale?: number;
  /** The factor of the sum. */
  sumScale?: number;
}

export function addCase({ rows, columns, scale, sumScale }: AddShape): KernelCase {
  const factors = [scale === undefined ? '' : `, scale ${scale}`, sumScale === undefined ? '' : `, of all ${sumScale}`];
  return {
    operation: 'add',
    name: `${rows}×${columns}${factors.join('')}`,
    tolerance: exactTolerance,
    flops: rows * columns,
    bytes: 12 * rows * columns,
    prepare(bed) {
      const { random } = bed;
      const [before, added] = [random.normals(rows * columns), random.normals(rows * columns)];
      const context = bed.context({ count: 1 });
      const sum = bed.activation(before, rows, columns);
      const x = bed.activation(added, rows, columns);
      return {
        reset: () => sum.buffer.write(before),
        record() {
          add(context, sum, x, scale, sumScale);
          return [
            {
              name: 'sum',
              buffer: sum.buffer,
              rows,
              columns,
              reference: (row) =>
                Float64Array.from({ length: columns }, (_, column) => {
                  const at = row * columns + column;
                  return (sumScale ?? 1) * (before[at]! + (scale ?? 1) * added[at]!);
                }),
            },
          ];
        },
      };
    },
  };
}

export const addShapes: readonly AddShape[] = [
  { rows: 1, columns: 4 },
  { rows: 33, columns: 100 },
  { rows: 7, columns: 2052 },
  { rows: 9, columns: 68, scale: 0.22 },
  { rows: 5, columns: 132, sumScale: -0.4 },
  { rows: 3, columns: 12, scale: 1.5, sumScale: 3 },
];

export interface ScaleShape {
  /** Elements. */
  count: number;
  scale?: number;
  softCap?: number;
  /** Deviation of the inputs; large ones reach where exp overflows. */
  deviation?: number;
}

export function scaleCase({ count, scale, softCap, deviation = 1 }: ScaleShape): KernelCase {
  return {
    operation: 'scale',
    name: `${count} elements of deviation ${deviation}, scale ${scale}, cap ${softCap}`,
    tolerance: exactTolerance,
    flops: count,
    bytes: 8 * count,
    prepare(bed) {
      const data = bed.random.normals(count, deviation);
      const x = bed.upload(data);
      return {
        reset: () => x.write(data),
        record() {
          const shape = { ...(scale === undefined ? {} : { scale }), ...(softCap === undefined ? {} : { softCap }) };
          scaleBuffer(bed.gpu, x, count, shape);
          const reference = (): Float64Array =>
            Float64Array.from(data, (value) => {
              const scaled = (scale ?? 1) * value;
              return softCap === undefined ? scaled : softCap * Math.tanh(scaled / softCap);
            });
          return [{ name: 'x', buffer: x, rows: 1, columns: count, reference }];
        },
      };
    },
  };
}

export const scaleShapes: readonly ScaleShape[] = [
  { count: 1, scale: 3 },
  { count: 1027, scale: 0.125 },
  { count: 333, softCap: 30, deviation: 0.01 },
  { count: 1027, softCap: 30, deviation: 40 },
  { count: 4099, scale: 0.5, softCap: 15, deviation: 30 },
  { count: 501, softCap: 2, deviation: 1e6 },
];

export interface LabelLossShape {
  /** Label rows of each probe. */
  rows: number;
  vocabulary: number;
  /** Columns of a chunk of logits. */
  chunk: number;
  targets: number;
  probes?: number;
  deviation?: number;
}

export function labelLossCase(shape: LabelLossShape): KernelCase {
  const { rows, vocabulary, chunk, targets, probes = 1, deviation = 3 } = shape;
  const all = rows * probes;
  return {
    operation: 'label-loss',
    name: `${probes}×${rows} over ${vocabulary} in chunks of ${chunk}, ${targets} targets, deviation ${deviation}`,
    tolerance: exactTolerance,
    flops: 4 * all * vocabulary,
    bytes: 4 * all * vocabulary,
    prepare(bed) {
      const { random, gpu } = bed;
      const logits = random.normals(all * vocabulary, deviation, -deviation);
      const pairs = Array.from({ length: targets }, () => [
        random.integer(0, rows - 1),
        random.integer(0, vocabulary - 1),
      ]);
      // The first and the last token, where chunks begin and end.
      pairs[0]![1] = vocabulary - 1;
      if (targets > 1) pairs[1]![1] = 0;
      const chunks: { start: number; columns: number; data: Float32Array<ArrayBuffer> }[] = [];
      for (let start = 0; start < vocabulary; start += chunk) {
        const columns = Math.min(chunk, vocabulary - start);
        const data = new Float32Array(all * columns);
        for (let row = 0; row < all; row++) {
          data.set(logits.subarray(row * vocabulary + start, row * vocabulary + start + columns), row * columns);
        }
        chunks.push({ start, columns, data });
      }
      const chunkBuffers = chunks.map(({ data }) => bed.upload(data));
      const targetBuffer = bed.upload(Uint32Array.from(pairs.flat()));
      const running = bed.allocate(8 * all, 'running');
      const picked = bed.allocate(4 * probes * targets, 'picked');
      const statistics = (row: number): [number, number] => {
        let highest = Number.NEGATIVE_INFINITY;
        for (let token = 0; token < vocabulary; token++) highest = Math.max(highest, logits[row * vocabulary + token]!);
        let sum = 0;
        for (let token = 0; token < vocabulary; token++) sum += Math.exp(logits[row * vocabulary + token]! - highest);
        return [highest, sum];
      };
      return {
        reset() {
          bed.poison(running);
          bed.poison(picked);
        },
        record() {
          for (const [index, { start, columns }] of chunks.entries()) {
            recordLabelLoss(
              gpu,
              { logits: chunkBuffers[index]!, targets: targetBuffer, running, picked },
              {
                rows: all,
                columns,
                columnStart: start,
                rowsPerProbe: rows,
                targetCount: targets,
                first: index === 0,
              },
            );
          }
          return [
            {
              name: 'running',
              buffer: running,
              rows: all,
              columns: 1,
              bytes: 8 * all,
              // maximum + log(sum): what the caller makes of the pair.
              decode(data) {
                const values = new Float32Array(data);
                return Float64Array.from(
                  { length: all },
                  (_, row) => values[2 * row]! + Math.log(values[2 * row + 1]!),
                );
              },
              reference(row) {
                const [highest, sum] = statistics(row);
                return [highest + Math.log(sum)];
              },
            },
            {
              name: 'picked',
              buffer: picked,
              rows: probes,
              columns: targets,
              reference: (probe) => pairs.map(([row, token]) => logits[(probe * rows + row!) * vocabulary + token!]!),
            },
          ];
        },
      };
    },
  };
}

export const labelLossShapes: readonly LabelLossShape[] = [
  { rows: 1, vocabulary: 1, chunk: 1, targets: 1 },
  { rows: 3, vocabulary: 50, chunk: 50, targets: 5, probes: 2 },
  { rows: 5, vocabulary: 301, chunk: 64, targets: 9, probes: 3 },
  { rows: 2, vocabulary: 1000, chunk: 7, targets: 70, deviation: 30 },
  { rows: 4, vocabulary: 50_257, chunk: 20_000, targets: 6, probes: 2 },
];
