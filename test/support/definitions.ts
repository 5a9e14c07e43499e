/**
 * Every kernel file with every combination of constants in use. A file under `kernels/` that is missing here fails
 * test/kernels/compile.test.ts; a combination that an operation test uses and that is missing here fails that test.
 *
 * @module
 */

import { activations, otherFragments } from '../../src/bench/cases/linear.ts';
import type { KernelConstant, KernelDefinition } from '../../src/gpu/kernel.ts';
import { activationNumber } from '../../src/ops/activation.ts';
import { attentionKernel, attentionVariants } from '../../src/ops/attention.ts';
import { convolveKernel, keepInputsKernel } from '../../src/ops/convolution.ts';
import { chunkLength, coefficientsKernel, deltaRuleVariants, scanKernel } from '../../src/ops/delta-rule.ts';
import { noisyKernel } from '../../src/ops/dense.ts';
import { denseAdamKernel, denseUpdateKernel } from '../../src/ops/dense-update.ts';
import { embedCoefficientsKernel, embedKernel } from '../../src/ops/embedding.ts';
import { combineKernel, gatePairsKernel, groupKernels, routeKernel, scoresKernel } from '../../src/ops/experts.ts';
import { placeKernels } from '../../src/ops/factors.ts';
import { foldKernel } from '../../src/ops/fold.ts';
import { groupedKernel } from '../../src/ops/grouped.ts';
import { joinKernel } from '../../src/ops/join.ts';
import { matmulKernel, matmulReduceKernel, rotateKernels } from '../../src/ops/linear.ts';
import { type MatmulVariant, matmulDescriptions } from '../../src/ops/matmul-variants.ts';
import { normKernel } from '../../src/ops/norm.ts';
import { type DirectionKind, directionNumber } from '../../src/ops/probes.ts';
import { addKernel } from '../../src/ops/rows.ts';
import { scaleKernel } from '../../src/ops/scale.ts';
import { packedOrders, regroupKernel, splitKernel } from '../../src/ops/split.ts';
import { stateAdamKernel, stateKernel } from '../../src/ops/state.ts';
import { topLogitsKernel } from '../../src/ops/top-logits.ts';
import { quadAxis } from '../../src/tensor/axis.ts';
import { codecFile, isPlain, isWritable, type Storage, storages } from '../../src/weights/index.ts';

/** All choices of one value per constant. */
function combinations(
  files: readonly string[],
  choices: Readonly<Record<string, readonly KernelConstant[]>> = {},
): KernelDefinition[] {
  let constants: Record<string, KernelConstant>[] = [{}];
  for (const [name, values] of Object.entries(choices)) {
    constants = constants.flatMap((chosen) => values.map((value) => ({ ...chosen, [name]: value })));
  }
  return constants.map((chosen) => (Object.keys(chosen).length > 0 ? { files, constants: chosen } : { files }));
}

const both = [false, true];

/** Quads in a head: head widths of the models that we know, up to 512 (Gemma 4), and those of tests. */
const headQuads = [1, 2, 3, 4, 5, 6, 8, 12, 16, 20, 24, 32, 50, 64, 128];

const directionKinds = Object.keys(directionNumber) as DirectionKind[];
const directions = Object.values(directionNumber);

/** Bytes of workgroup memory that adapters have. */
const workgroupLimits = [16_384, 32_768, 49_152];

/** Widths of keys in the delta rule, of tests and of the models that we know. */
const keyWidths = [4, 8, 12, 64, 128];

/** Taps of convolutions over tokens. */
const tapCounts = [1, 2, 3, 4, 7];

/** A weight without pads and one with pads. */
const paddedWeights = (storage: Storage) => [
  { storage },
  { storage, layout: { rows: quadAxis(6, 2), columns: quadAxis(5, 2) } },
];

/** A kernel that draws noise of stored weights. */
function noisyKernels(
  storage: Storage,
  files: readonly string[],
  choices: Readonly<Record<string, readonly KernelConstant[]>>,
): KernelDefinition[] {
  return paddedWeights(storage).flatMap((weight) =>
    combinations(files, choices).map(({ constants }) => noisyKernel(weight, files, constants)),
  );
}

/** A kernel over stored weights and dense directions. */
function denseKernels(
  storage: Storage,
  name: string,
  choices: Readonly<Record<string, readonly KernelConstant[]>> = {},
): KernelDefinition[] {
  return noisyKernels(storage, ['zo/direction.wgsl', `zo/${name}.wgsl`], { DIRECTION: directions, ...choices });
}

const matmulFlags = activations.flatMap((activation) =>
  both.flatMap((hasBias) => both.map((accumulate) => ({ activation, hasBias, accumulate }))),
);

/** A few of all flags, for what does not depend on them. */
const fewMatmulFlags = [
  { activation: 'none', hasBias: false, accumulate: false },
  { activation: 'silu', hasBias: true, accumulate: true },
] as const;

/** Those of the cases with factors in f16, which nothing else depends on. */
const factorFlags = {
  f32: fewMatmulFlags[0],
  bf16: fewMatmulFlags[1],
} as const;

function matmulKernels(variant: MatmulVariant): KernelDefinition[] {
  const { sliceable, fragments } = matmulDescriptions[variant];
  return storages.flatMap((storage) => [
    ...(isPlain(storage) ? matmulFlags : fewMatmulFlags).map((flags) =>
      matmulKernel({ variant, slices: 1 }, { storage, ...flags }),
    ),
    ...(sliceable ? [matmulKernel({ variant, slices: 2 }, { storage, ...fewMatmulFlags[0] })] : []),
    ...(storage === 'f32' || storage === 'bf16'
      ? [matmulKernel({ variant, slices: 1 }, { storage, factors: 'f16', ...factorFlags[storage] })]
      : []),
    ...(storage === 'f32' && sliceable
      ? [matmulKernel({ variant, slices: 2 }, { storage, factors: 'f16', ...factorFlags.f32 })]
      : []),
    ...(fragments === undefined || !isPlain(storage) ? [] : otherFragments).flatMap((fragment) => [
      ...fewMatmulFlags.map((flags) => matmulKernel({ variant, slices: 1, fragment }, { storage, ...flags })),
      matmulKernel({ variant, slices: 2, fragment }, { storage, ...fewMatmulFlags[0] }),
    ]),
  ]);
}

export const definitions: Readonly<Record<string, readonly KernelDefinition[]>> = {
  matmul: (Object.keys(matmulDescriptions) as MatmulVariant[]).flatMap((variant) => matmulKernels(variant)),
  grouped: (Object.keys(matmulDescriptions) as MatmulVariant[]).flatMap((variant) => {
    const { fragments } = matmulDescriptions[variant];
    return storages.flatMap((storage) => [
      groupedKernel({ variant, slices: 1 }, storage),
      ...(fragments === undefined || !isPlain(storage) ? [] : otherFragments).map((fragment) =>
        groupedKernel({ variant, slices: 1, fragment }, storage),
      ),
    ]);
  }),
  experts: [
    ...(['softmax', 'sigmoid', 'sparse-mixer'] as const).map(scoresKernel),
    ...both.map(routeKernel),
    ...Object.values(groupKernels),
    ...both.flatMap((normalised) =>
      both.flatMap((hasBias) => both.map((scaled) => combineKernel(normalised, hasBias, scaled))),
    ),
    ...both.flatMap((INTERLEAVED) =>
      both.flatMap((HAS_BIAS) =>
        both.flatMap((CLAMPED) =>
          activations.map((activation) => gatePairsKernel(activation, { INTERLEAVED, HAS_BIAS, CLAMPED })),
        ),
      ),
    ),
    ...['gather', 'rotate', 'add-shared'].flatMap((name) => combinations([`experts/${name}.wgsl`])),
  ],
  matmulReduce: matmulFlags.map((flags) => matmulReduceKernel(flags)),
  embed: (['f32', 'f16'] as const).flatMap((factors) => [
    embedCoefficientsKernel(factors),
    ...storages.flatMap((storage) =>
      (['one-row', 'four-rows', 'subgroup', 'four-lanes'] as const).flatMap((variant) =>
        both.map((accumulate) => embedKernel(variant, storage, factors, accumulate)),
      ),
    ),
  ]),
  placeFactor: Object.values(placeKernels),
  lora: [
    ...combinations(['lora/down.wgsl'], { BY_ROW: both }),
    ...combinations(['activation.wgsl', 'lora/up.wgsl'], {
      ACTIVATION: activations.map((name) => activationNumber[name]),
      BY_ROW: both,
      HAS_GAIN: both,
      HAS_BIAS: both,
    }),
    ...storages.flatMap((storage) => combinations([codecFile(storage), 'lora/gain.wgsl'])),
  ],
  virtualRows: combinations(['virtual-rows.wgsl']),
  pad: combinations(['pad.wgsl']),
  norm: (['workgroup', 'subgroup', 'four-lanes'] as const).flatMap((variant) =>
    both.flatMap((centre) =>
      both.flatMap((gain) =>
        both.flatMap((shift) => [0, 1].map((offset) => normKernel(variant, centre, gain, shift, offset))),
      ),
    ),
  ),
  rope: combinations(['rope.wgsl'], { INTERLEAVED: both }),
  attention: [
    ...attentionVariants.flatMap((variant) =>
      headQuads.flatMap((quads) =>
        // The tiles of adapters with more and less workgroup memory.
        workgroupLimits.flatMap((limit) =>
          // Without a cap, with those of the tests, and that of Gemma 2.
          [0, 2.5, 5, 50].flatMap((softCap) =>
            (softCap === 0 ? both : [false]).flatMap((hasSinks) =>
              (softCap === 0 && !hasSinks ? [undefined, {}, { rounded: true }] : [undefined]).map((alibi) =>
                attentionKernel(variant, 4 * quads, limit, softCap, hasSinks, alibi),
              ),
            ),
          ),
        ),
      ),
    ),
    ...combinations(['attention/merge.wgsl']),
  ],
  convolve: tapCounts.flatMap((taps) =>
    both.flatMap((gated) => [
      keepInputsKernel(taps, gated),
      ...both.flatMap((hasBias) =>
        (['none', 'silu'] as const).map((activation) => convolveKernel(taps, gated, hasBias, activation)),
      ),
    ]),
  ),
  deltaRule: keyWidths.flatMap((width) => [
    coefficientsKernel(width),
    ...deltaRuleVariants.flatMap((variant) =>
      workgroupLimits.slice(0, variant === 'chunked' ? undefined : 1).flatMap((limit) => {
        const keeping = variant === 'wide' ? [false] : both;
        return keeping.map((keeps) => scanKernel(width, variant, keeps, chunkLength(width, limit)!));
      }),
    ),
  ]),
  splitHeads: combinations(['split-heads.wgsl']),
  rows: [...combinations(['gather-rows.wgsl']), ...combinations(['store-rows.wgsl'])],
  add: both.flatMap((scaled) => both.map((sumScaled) => addKernel(scaled, sumScaled))),
  scale: [0, 2, 15, 30].map(scaleKernel),
  xielu: combinations(['xielu.wgsl']),
  gate: ['gate', 'gate-packed', 'gate-part'].flatMap((name) =>
    combinations(['activation.wgsl', `${name}.wgsl`], { ACTIVATION: Object.values(activationNumber) }),
  ),
  join: [joinKernel],
  split: [...packedOrders.map(splitKernel), regroupKernel],
  labelLoss: combinations(['label-loss.wgsl']),
  topLogits: [topLogitsKernel],
  rotate: [rotateKernels.plain, rotateKernels.slices],
  perturb: directionKinds.map((kind) => stateKernel('perturb', kind)),
  update: directionKinds.map((kind) => stateKernel('update', kind)),
  adam: both.map(stateAdamKernel),
  curvature: combinations(['random/philox.wgsl', 'zo/after-curvature.wgsl', 'zo/curvature.wgsl']),
  magnitudes: storages
    .filter(isWritable)
    .flatMap((storage) => combinations([codecFile(storage), 'zo/magnitude-histogram.wgsl'], { LOW_HALF: both })),
  dense: storages
    .filter(isWritable)
    .flatMap((storage) => [
      ...denseKernels(storage, 'dense-weight'),
      ...directionKinds.flatMap((kind) =>
        paddedWeights(storage).flatMap((weight) => [1, 2].map((queries) => denseUpdateKernel(weight, kind, queries))),
      ),
      ...denseKernels(storage, 'dense-embed', { ACCUMULATE: both }),
      ...paddedWeights(storage).flatMap((weight) =>
        both.flatMap((adaptive) => [1, 2].map((queries) => denseAdamKernel(weight, adaptive, queries))),
      ),
    ]),
  gaussianMatrix: combinations(['random/philox.wgsl', 'random/gaussian-matrix.wgsl']),
  orthonormalise: [
    ...combinations(['zo/orthonormalise.wgsl']),
    ...combinations(['zo/gram.wgsl']),
    ...combinations(['zo/cholesky-inverse.wgsl']),
    ...combinations(['zo/multiply-inverse.wgsl']),
  ],
  makeAdapter: combinations(['zo/make-adapter.wgsl']),
  fold: storages.filter(isWritable).map(foldKernel),
};
