/** Operations refuse wrong shapes, and say which. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import { Bed } from '../../src/bench/bed.ts';
import { attention } from '../../src/ops/attention.ts';
import type { OperationContext } from '../../src/ops/context.ts';
import { embed } from '../../src/ops/embedding.ts';
import { linear, matmul } from '../../src/ops/linear.ts';
import { addLoras } from '../../src/ops/lora.ts';
import { norm } from '../../src/ops/norm.ts';
import { rope } from '../../src/ops/rope.ts';
import { gate, gatherRows } from '../../src/ops/rows.ts';
import type { Weight } from '../../src/tensor/weight.ts';
import type { Activation } from '../../src/tensor/workspace.ts';
import { openTestGpu } from '../support/gpu.ts';
import { Random, testSeed } from '../support/random.ts';

const gpu = openTestGpu();
let bed: Bed;
let context: OperationContext;
beforeEach(() => {
  bed = new Bed(gpu(), new Random(testSeed, 'shapes'));
  bed.reserve(16);
  context = bed.context({ count: 2 });
});
afterEach(() => bed.destroy());

const of = (rows: number, columns: number): Activation => ({ buffer: gpu().unused, rows, columns });
const weight = (rows: number, columns: number): Weight => ({
  ...{ name: 'w', rows, columns, storage: 'f32' },
  parts: [{ buffer: gpu().unused, rowStart: 0, rowCount: rows }],
});
const flags = { storage: 'f32', activation: 'none', hasBias: false, accumulate: false } as const;
const launch = {
  ...{ weightRow: 0, outputRow: 0, columns: 4, yStride: 4, columnStart: 0, rowsPerProbe: 4, weightScale: 1 },
};

const attend = (q: Activation, heads: number, keyHeads: number, headWidth: number) => {
  const { unused } = gpu();
  return attention(context, q, unused, unused, { heads, keyHeads, headWidth, ranges: unused, keyStride: 1 });
};
const table = (rotaryWidth: number) => ({ buffer: gpu().unused, rotaryWidth, interleaved: false });
const lora = { pair: { a: 'a', b: 'b', rank: 4, scale: 1 }, probes: {} } as never;

test.each<[string, RegExp, () => unknown]>([
  [
    'linear, columns',
    /^linear: x for w should be \[4, 8\]; it is \[4, 12\]$/,
    () => linear(context, of(4, 12), weight(4, 8)),
  ],
  [
    'linear, probes',
    /^linear: rows should be a multiple of 2, the number of probes; got 3$/,
    () => linear(context, of(3, 8), weight(4, 8)),
  ],
  [
    'linear, sum',
    /^linear: the sum of w should be \[4, 16\]/,
    () => linear(context, of(4, 8), weight(16, 8), { addTo: of(4, 8) }),
  ],
  [
    'matmul, rows',
    /^matmul: rows 2 to 6 of x were asked for; it has 4$/,
    () =>
      matmul(context, flags, {
        ...launch,
        x: of(4, 8),
        rowStart: 2,
        rows: 4,
        weight: { buffer: gpu().unused },
        y: gpu().unused,
      }),
  ],
  [
    'matmul, quads',
    /^matmul: the columns of x should be a multiple of 4/,
    () => matmul(context, flags, { ...launch, x: of(4, 6), weight: { buffer: gpu().unused }, y: gpu().unused }),
  ],
  ['attention, q', /^attention: q should be \[4, 32\]; it is \[4, 16\]$/, () => attend(of(4, 16), 4, 2, 8)],
  ['attention, heads', /^attention: the number of heads should be a multiple of 3/, () => attend(of(4, 32), 4, 3, 8)],
  ['attention, width', /^attention: q should be \[4, 16\]; it is \[4, 12\]$/, () => attend(of(4, 12), 2, 2, 6)],
  ['attention, probes', /^attention: rows should be a multiple of 2/, () => attend(of(5, 32), 4, 4, 8)],
  [
    'norm',
    /^norm: the columns of x should be a multiple of 8, the width of a group with its pads; got 12$/,
    () => norm(context, of(4, 12), { kind: 'rms', epsilon: 1, groupWidth: 5 }),
  ],
  [
    'rope, heads',
    /^rope: the columns of the queries should be a multiple of 8/,
    () => rope(context, [of(4, 12), of(4, 8)], gpu().unused, table(4), 8),
  ],
  [
    'rope, key heads',
    /^rope: the columns of the keys should be a multiple of 8/,
    () => rope(context, [of(4, 8), of(4, 12)], gpu().unused, table(4), 8),
  ],
  [
    'rope, rows',
    /^rope: the keys should be \[4, 8\]; it is \[3, 8\]$/,
    () => rope(context, [of(4, 8), of(3, 8)], gpu().unused, table(4), 8),
  ],
  [
    'rope, width',
    /^rope: 16 elements of a head should be turned; it has 8$/,
    () => rope(context, [of(4, 16), of(4, 8)], gpu().unused, table(16), 8),
  ],
  ['gatherRows', /^gatherRows: rows should be a multiple of 2/, () => gatherRows(context, of(3, 8), gpu().unused, 1)],
  ['gate', /^gate: what is gated should be \[4, 8\]; it is \[4, 12\]$/, () => gate(context, of(4, 8), of(4, 12))],
  ['embed, probes', /^embed: rows should be a multiple of 2/, () => embed(context, gpu().unused, 3, weight(4, 8))],
  [
    'embed, sum',
    /^embed: the sum of w should be \[4, 8\]; it is \[4, 16\]$/,
    () => embed(context, gpu().unused, 4, weight(4, 8), of(4, 16)),
  ],
  ['LoRA', /^LoRA: y should be \[4, 8\]; it is \[6, 8\]$/, () => addLoras(context, of(4, 8), [lora], of(6, 8))],
])('%s', (_, message, operation) => {
  const before = gpu().recorder.dispatches;
  expect(operation).toThrow(message);
  expect(gpu().recorder.dispatches).toBe(before);
});
