/**
 * Cases with realistic shapes: the layers of models that people tune, for batches from one row (decoding) to many
 * (training). The cases themselves are those of the tests, in ./cases.
 *
 * @module
 */

import type { Suite } from '../bench-suites.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { matrixFragment } from '../ops/matmul-choice.ts';
import type { MatmulPlan } from '../ops/matmul-variants.ts';
import { rowBytes, type Storage, type WritableStorage } from '../weights/index.ts';
import type { KernelCase } from './case.ts';
import { attentionCase, causalRanges } from './cases/attention.ts';
import { embedCase } from './cases/embed.ts';
import { linearCase, matmulCase } from './cases/linear.ts';
import { normCase } from './cases/norm.ts';
import { ropeCase } from './cases/rope.ts';
import { gateCase, labelLossCase } from './cases/rows.ts';
import { foldCase, gaussianMatrixCase, orthonormaliseCase, perturbCase, updateCase } from './cases/zo.ts';

/** Sizes of a decoder. */
interface ModelShape {
  name: string;
  hidden: number;
  intermediate: number;
  heads: number;
  keyHeads: number;
  headWidth: number;
  vocabulary: number;
  layers: number;
  norm: 'rms' | 'layer';
  gated: boolean;
  storage: WritableStorage;
}

const opt = (name: string, hidden: number, heads: number, layers: number): ModelShape => ({
  ...{ name, hidden, heads, layers, keyHeads: heads, headWidth: hidden / heads },
  ...{ intermediate: 4 * hidden, vocabulary: 50_272, norm: 'layer', gated: false, storage: 'f16' },
});

const models: readonly ModelShape[] = [
  opt('OPT-125M', 768, 12, 12),
  opt('OPT-1.3B', 2048, 32, 24),
  opt('OPT-13B', 5120, 40, 40),
  {
    ...{ name: 'Llama-7B', hidden: 4096, intermediate: 11_008, heads: 32, keyHeads: 32, headWidth: 128 },
    ...{ vocabulary: 32_000, layers: 32, norm: 'rms', gated: true, storage: 'f16' },
  },
  {
    ...{ name: 'Qwen3-0.6B', hidden: 1024, intermediate: 3072, heads: 16, keyHeads: 8, headWidth: 128 },
    ...{ vocabulary: 151_936, layers: 28, norm: 'rms', gated: true, storage: 'bf16' },
  },
];

interface SuitePlan {
  models: readonly string[];
  rows: readonly number[];
  /** Whether weights have the models' own storage only, or f32 as well. */
  storages: 'own' | 'all';
  /**
   * Largest bytes of an embedding or output head. Of a larger one only a part is used, as for a binding that cannot
   * hold it.
   */
  largestTable: number;
  /** Side of the square products that show the best speed of the adapter; none by default. */
  square?: number;
}

const plan: Readonly<Record<Suite, SuitePlan>> = {
  quick: { models: ['OPT-125M', 'Qwen3-0.6B'], rows: [1, 32], storages: 'own', largestTable: 2 ** 24 },
  full: {
    models: models.map(({ name }) => name),
    rows: [1, 16, 128, 1024],
    storages: 'all',
    largestTable: 2 ** 29,
    square: 8192,
  },
};

/** The rank at which the side product is timed. */
const rank = 64;

/** Renames a case after the layer and the model that it stands for. */
function named(kernelCase: KernelCase, model: ModelShape, what: string): KernelCase {
  return { ...kernelCase, name: `${model.name} ${what}` };
}

/**
 * Matrix products of one layer for `rows` rows, and the output head (as many of its rows as fit into `largestTable`
 * bytes).
 */
function layerCases(model: ModelShape, rows: number, storage: Storage, largestTable: number): KernelCase[] {
  const { hidden, intermediate, heads, headWidth } = model;
  const headRows = Math.min(model.vocabulary, Math.floor(largestTable / rowBytes(storage, hidden)));
  const products: [string, number, number][] = [
    ['q', hidden, heads * headWidth],
    ['up', hidden, intermediate],
    ['down', intermediate, hidden],
    ['head', hidden, headRows],
  ];
  return products.flatMap(([layer, inner, columns]) => {
    const what = `${layer} ${rows}×${inner}→${columns} ${storage}`;
    const plain = named(linearCase({ rows, columns, inner, storage }), model, what);
    if (layer === 'head' || rows % 2 === 1) return [plain];
    const probed = linearCase({ rows: rows / 2, columns, inner, storage, rank, probes: 2 });
    return [plain, named(probed, model, `${what} + rank ${rank}`)];
  });
}

/** Cases that do not depend on the storage of weights. */
function otherCases(model: ModelShape, rows: number): KernelCase[] {
  const { hidden, heads, keyHeads, headWidth, norm } = model;
  const width = heads * headWidth;
  const cases = [
    named(
      normCase({ kind: norm, rows, columns: hidden, gain: true, shift: norm === 'layer' }),
      model,
      `norm ${rows}×${hidden}`,
    ),
  ];
  if (model.gated) {
    cases.push(
      named(ropeCase({ rows, heads, headWidth, positions: 2048 }), model, `rope ${rows}×${width}`),
      named(gateCase({ rows, columns: model.intermediate }), model, `gate ${rows}×${model.intermediate}`),
    );
  }
  // Training packs short sequences; decoding reads a long cache for a single row.
  const segment = Math.min(rows, 64);
  const decoding = rows === 1;
  const keys = decoding ? 1024 : rows;
  const pairs = decoding ? keys : (rows / segment) * ((segment * (segment + 1)) / 2);
  const name = decoding ? `attention 1 over ${keys}` : `attention ${rows / segment} × ${segment} causal`;
  cases.push(
    named(
      attentionCase({
        ...{ name, heads, keyHeads, headWidth, keys, pairs, keyStride: keys },
        ranges: () => (decoding ? [[0, keys, 0, 0]] : causalRanges(Array(rows / segment).fill(segment))),
      }),
      model,
      name,
    ),
  );
  return cases;
}

/** Kernels of a training step and of a refresh, once per model. */
function trainingCases(model: ModelShape, storage: WritableStorage, largestTable: number): KernelCase[] {
  const { hidden, layers } = model;
  const vocabulary = Math.min(model.vocabulary, Math.floor(largestTable / rowBytes(storage, hidden)));
  const matrices = Array.from({ length: 6 * layers }, () => ({ elements: rank * rank, trains: true, matrix: true }));
  const vectors = Array.from({ length: 4 * layers }, () => ({ elements: hidden, trains: true, matrix: false }));
  const state = { tensors: [...matrices, ...vectors], count: 2, deviation: 0.01 };
  const head = { rows: 4, vocabulary, chunk: Math.min(vocabulary, 16_384), targets: 8, probes: 2 };
  return [
    named(perturbCase(state), model, `state of ${layers} layers, 2 probes`),
    named(updateCase({ ...state, count: 1 }), model, `state of ${layers} layers`),
    named(gaussianMatrixCase({ rows: hidden, rank, transposed: false }), model, `Ω ${hidden}×${rank}`),
    named(orthonormaliseCase({ rows: hidden, rank, transposed: false }), model, `QR ${hidden}×${rank}`),
    named(foldCase({ rows: hidden, columns: hidden, rank, storage }), model, `fold ${hidden}×${hidden} ${storage}`),
    named(labelLossCase(head), model, `label loss 8×${vocabulary}`),
    named(embedCase({ rows: 64, vocabulary, columns: hidden, storage, rank, probes: 2 }), model, 'embed 128 rows'),
  ];
}

/**
 * A large square product with each variant made for it: f32 by tiles in registers; f16 by matrix units, with split
 * operands and with rounded ones.
 */
export function squareCases(gpu: Gpu, side: number): KernelCase[] {
  if (4 * side * side > gpu.bindingLimit) return [];
  const fragment = matrixFragment(gpu, 4);
  const products: [MatmulPlan, Storage][] = [[{ variant: 'tile-8x8', slices: 1 }, 'f32']];
  if (fragment) {
    products.push([{ variant: 'matrix-4x4', slices: 1, fragment }, 'f16']);
    products.push([{ variant: 'half-4x4', slices: 1, fragment }, 'f16']);
  }
  return products.map(([product, storage]) =>
    matmulCase(product, { rows: side, columns: side, inner: side, storage, alone: true }),
  );
}

/** All cases of a suite; the cases of one kernel are adjacent. */
export function benchCases(suite: Suite, gpu: Gpu): KernelCase[] {
  const { models: names, rows, storages } = plan[suite];
  const largestTable = Math.min(plan[suite].largestTable, gpu.bindingLimit);
  const chosen = models.filter(({ name }) => names.includes(name));
  const cases = chosen.flatMap((model) => {
    const kinds: Storage[] = storages === 'all' && model.storage !== 'f32' ? [model.storage, 'f32'] : [model.storage];
    return [
      ...kinds.flatMap((storage) => rows.flatMap((count) => layerCases(model, count, storage, largestTable))),
      ...rows.flatMap((count) => otherCases(model, count)),
      ...trainingCases(model, model.storage, largestTable),
    ];
  });
  if (plan[suite].square !== undefined) cases.push(...squareCases(gpu, plan[suite].square));
  const operations = [...new Set(cases.map(({ operation }) => operation))];
  return operations.flatMap((operation) => cases.filter((entry) => entry.operation === operation));
}
