import { SubzeroError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { readConfiguration } from '../model/configuration.ts';
import { chooseStorage, readConfigurationFile } from '../model/load.ts';
import { parameterShapes } from '../model/parameters.ts';
import { join } from '../platform/index.ts';
import { defaultConfiguration, resolveConfiguration } from '../settings/configuration.ts';
import { type OptimizerName, optimizerNames } from '../settings/methods.ts';
import { type SchemeName, schemeNames } from '../settings/schemes.ts';
import { MemoryEstimator, type TrainingEstimate } from '../train/estimate.ts';
import type { MemoryPlan } from '../train/memory-plan.ts';
import type { StorageWish } from '../weights/index.ts';
import { defineExperiment, type Finished, type Laboratory } from './experiment.ts';
import { plotSvg } from './plot.ts';
import { publishedShapes } from './published-shapes.ts';
import { checkNames } from './search.ts';

/** Storage types of the planned weights. */
const storages = ['f16', 'q8', 'q4'] as const satisfies readonly StorageWish[];

/** Tokens of an example of the plans; a batch has the default number of examples. */
const tokens = 128;

/**
 * Bytes a parameter of AdamW in mixed precision: weight and gradient in 16 bits, a copy of the weight and two moments
 * in 32.
 */
const adamBytes = 2 + 2 + 4 + 4 + 4;

/** Sequences of the plans' batch, the default. */
const sequences = defaultConfiguration.batchSize;

interface Planned {
  parameters: number;
  weightBytes: number;
  cacheBytesPerToken: number;
  estimates: TrainingEstimate[];
}

interface Measured {
  plan: MemoryPlan | null;
  liveBytes: number;
  /** Why the run is not possible, instead. */
  problem?: string;
}

/** What training takes beside inference, in bytes by category. */
export const memory = defineExperiment<Planned | Measured>({
  title: 'What does training take beside inference?',
  question:
    'How many bytes of GPU memory does a run take, by optimiser, scheme, storage of weights and shape of model?',
  method:
    'Plans come from the same code that allocates a run, on a device without memory, for the shapes of published ' +
    'models ' +
    `with default settings and a batch of 16 examples of ${tokens} tokens. Measured are the given model's runs: the ` +
    'bytes that the device holds after a step of one direction, beside their own plan. As a yardstick stands what ' +
    `AdamW in mixed precision keeps for each parameter, ${adamBytes} bytes, and for GPT-like layers the activations ` +
    'of the same batch by the formula of Korthikanti et al. (arXiv 2205.05198), with and without checkpoints at ' +
    'every layer.',
  reads: ['optimizers', 'schemes'],
  data: ['train'],
  async cells({ model, seeds, optimizers = optimizerNames, schemes = schemeNames }) {
    checkNames('optimizers', optimizers, optimizerNames);
    checkNames('schemes', schemes, schemeNames);
    // The model is measured last, so that one that is not there would be told late.
    await readConfigurationFile(model);
    return [
      ...Object.keys(publishedShapes).flatMap((shape) => storages.map((storage) => ({ shape, storage }))),
      ...optimizers.flatMap((optimizer) =>
        schemes.map((scheme) => ({ optimizer, scheme, storage: 'auto', seed: seeds[0]! })),
      ),
    ];
  },
  measure: (laboratory, cell) =>
    cell.shape === undefined ? measured(laboratory, cell) : planned(String(cell.shape), cell.storage as StorageWish),
  report({ optimizers = optimizerNames, schemes = schemeNames }, finished) {
    const plans = finished.filter((each): each is Finished<Planned> => 'estimates' in each.result);
    const runs = finished.filter((each): each is Finished<Measured> => 'liveBytes' in each.result);
    const largest = plans.filter(({ cell }) => cell.shape === 'OPT-13B' && cell.storage === 'f16')[0]?.result;
    const subzero = largest && totalOf(largest, 'subzero', 'full');
    const gaps = runs.flatMap(({ result: { plan, liveBytes } }) => (plan ? [liveBytes / plan.totalBytes] : []));
    return {
      lead:
        (largest && subzero
          ? `SubZero tunes all of OPT-13B's shape in ${(subzero / 1e9).toFixed(1)} GB (its paper measured 26.53 GB), ` +
            `${(subzero / largest.weightBytes).toFixed(2)} times its weights in f16; AdamW ` +
            `in mixed precision keeps ${((adamBytes * largest.parameters) / 1e9).toFixed(0)} GB before any activation. `
          : '') +
        (gaps.length > 0
          ? `Measured bytes are ${Math.min(...gaps).toFixed(3)} to ${Math.max(...gaps).toFixed(3)} of their plans.`
          : ''),
      sections: [
        {
          title: 'Planned, by shape and storage',
          plot: {
            name: 'memory.svg',
            describes: 'Planned bytes over the parameters of the model, by optimiser and storage',
            svg: plotSvg({
              title: 'Planned GPU memory of tuning all parameters',
              xTitle: 'parameters, billions',
              yTitle: 'GiB',
              xLogarithmic: true,
              yLogarithmic: true,
              series: [
                ...storages.map((storage) => ({
                  name: `SubZero, ${storage}`,
                  points: pointsOf(plans, storage, (result) => totalOf(result, 'subzero', 'full')),
                })),
                {
                  name: 'MeZO, f16',
                  points: pointsOf(plans, 'f16', (result) => totalOf(result, 'mezo', 'full')),
                  // MeZO takes nearly what SubZero does.
                  open: true,
                },
                {
                  name: 'AdamW, mixed precision',
                  points: pointsOf(plans, 'f16', ({ parameters }) => adamBytes * parameters),
                },
              ],
            }),
          },
        },
        ...schemes.map((scheme) => ({
          title: `Scheme ${scheme}`,
          text: 'Bytes in all, and in brackets how many times the weights of the same storage.',
          table: {
            header: ['shape, storage', 'weights', 'a token of cache', ...optimizers],
            rows: plans.map(({ cell, result }) => [
              `${cell.shape}, ${cell.storage}`,
              formatBytes(result.weightBytes),
              formatBytes(result.cacheBytesPerToken),
              ...optimizers.map((optimizer) => totalText(result, optimizer as OptimizerName, scheme as SchemeName)),
            ]),
          },
        })),
        {
          title: 'By category, tuning all parameters in f16 with SubZero',
          table: {
            header: ['shape', 'weights', 'factors and state', 'activations', 'scratch'],
            rows: plans
              .filter(({ cell }) => cell.storage === 'f16')
              .map(({ cell, result }) => [String(cell.shape), ...categories(planOf(result, 'subzero', 'full'))]),
          },
        },
        {
          title: 'Beside back-propagation',
          text:
            `Activations of ${sequences} × ${tokens} tokens: s b h (34 + 5 a s / h) bytes a layer, or 2 s b h a ` +
            'layer and those of one layer with checkpoints; logits and gradients of the head come on top. MeZO’s ' +
            'paper (arXiv 2305.17333) measured up to 12 times less than fine-tuning with Adam, and has a GPU of 80 ' +
            'GB tune 30 B parameters instead of 2.7 B.',
          table: {
            header: ['shape', 'SubZero, f16', 'AdamW, checkpoints', 'AdamW, all activations', 'AdamW / SubZero'],
            rows: plans.flatMap(({ cell, result }) => {
              const activations = activationBytes(String(cell.shape));
              const own = totalOf(result, 'subzero', 'full');
              if (cell.storage !== 'f16' || !activations || Number.isNaN(own)) return [];
              const adam = adamBytes * result.parameters;
              const [least, most] = [adam + activations.checkpointed, adam + activations.all];
              const quotients = `${(least / own).toFixed(1)} to ${(most / own).toFixed(1)}`;
              return [[String(cell.shape), ...[own, least, most].map((bytes) => formatBytes(bytes)), quotients]];
            }),
          },
        },
        {
          title: 'Measured on the given model',
          table: {
            header: ['run', 'planned', 'measured', 'measured / planned'],
            rows: runs.map(({ cell, result: { plan, liveBytes, problem } }) => [
              `${cell.optimizer}, ${cell.scheme}`,
              plan ? formatBytes(plan.totalBytes) : (problem ?? '–'),
              plan ? formatBytes(liveBytes) : '–',
              plan ? (liveBytes / plan.totalBytes).toFixed(3) : '–',
            ]),
          },
        },
      ],
    };
  },
});

/**
 * What back-propagation keeps of the layers of a shape, in 16 bits; undefined for layers that the formula is not of.
 */
export function activationBytes(name: string): { all: number; checkpointed: number } | undefined {
  const {
    model_type: type,
    hidden_size: h,
    num_hidden_layers: layers,
    num_attention_heads: a,
  } = publishedShapes[name]!;
  if (type !== 'opt') return undefined;
  const unit = tokens * sequences * Number(h);
  const layer = unit * (34 + (5 * Number(a) * tokens) / Number(h));
  return { all: Number(layers) * layer, checkpointed: 2 * unit * Number(layers) + layer };
}

/** The plans of all optimisers and schemes for a shape. */
async function planned(name: string, storage: StorageWish): Promise<Planned> {
  const decoder = await readConfiguration(publishedShapes[name]!, name);
  const parameters = parameterShapes(decoder).map((parameter) => {
    const elements = parameter.shape.reduce((all, size) => all * size, 1);
    const { name: tensor, shape } = parameter;
    return { ...parameter, elements, stored: { name: tensor, dtype: 'F16', shape, byteLength: 2 * elements } };
  });
  const choice = chooseStorage(storage, { software: false }, ['F16']);
  const estimator = new MemoryEstimator({ decoder, parameters, warnings: [] }, choice);
  try {
    const { weightBytes, cacheBytesPerToken } = estimator.inference();
    const estimates: TrainingEstimate[] = [];
    for (const optimizer of optimizerNames) {
      for (const scheme of schemeNames) estimates.push(await estimator.training({ optimizer, scheme }, tokens));
    }
    const count = parameters.reduce((sum, { elements }) => sum + elements, 0);
    return { parameters: count, weightBytes, cacheBytesPerToken, estimates };
  } finally {
    estimator.close();
  }
}

/** What a short run of the given model holds. */
async function measured(
  { engine, request: { model, data, reading }, folder, signal }: Laboratory,
  cell: Readonly<Record<string, unknown>>,
): Promise<Measured> {
  const configuration = resolveConfiguration({
    ...reading,
    ...{ optimizer: cell.optimizer as OptimizerName, scheme: cell.scheme as SchemeName, seed: Number(cell.seed) },
    // One direction is enough to see what a pass holds, and SubZero+ would have 99. A run of a single step may be over
    // before the engine says what it holds.
    ...{ steps: 8, queries: 1, evaluateEvery: 0 },
  });
  const before = (await engine.info()).memory.liveBytes;
  let plan: MemoryPlan | null = null;
  let liveBytes = 0;
  try {
    for await (const event of engine.train({ model, data, configuration, out: join(folder, 'run') }, signal)) {
      if (event.type === 'start') plan = event.plan;
      if (event.type === 'step') liveBytes = Math.max(liveBytes, (await engine.info()).memory.liveBytes - before);
    }
  } catch (error) {
    const isImpossible = error instanceof SubzeroError && ['unsupported', 'out_of_memory'].includes(error.code);
    if (!isImpossible || signal.aborted) throw error;
    return { plan: null, liveBytes: 0, problem: error.message };
  }
  return { plan, liveBytes };
}

function planOf({ estimates }: Planned, optimizer: OptimizerName, scheme: SchemeName): MemoryPlan | undefined {
  const found = estimates.find((each) => each.optimizer === optimizer && each.scheme === scheme);
  return found && 'plan' in found ? found.plan : undefined;
}

function totalOf(result: Planned, optimizer: OptimizerName, scheme: SchemeName): number {
  return planOf(result, optimizer, scheme)?.totalBytes ?? Number.NaN;
}

function totalText(result: Planned, optimizer: OptimizerName, scheme: SchemeName): string {
  const total = totalOf(result, optimizer, scheme);
  return Number.isNaN(total) ? '–' : `${formatBytes(total)} (${(total / result.weightBytes).toFixed(2)})`;
}

function categories(plan: MemoryPlan | undefined): string[] {
  if (!plan) return ['–', '–', '–', '–'];
  return [plan.weightBytes, plan.factorBytes, plan.activationBytes, plan.scratchBytes].map((bytes) =>
    formatBytes(bytes),
  );
}

function pointsOf(
  plans: readonly Finished<Planned>[],
  storage: string,
  bytes: (result: Planned) => number,
): { x: number; y: number }[] {
  return plans
    .filter(({ cell, result }) => cell.storage === storage && Number.isFinite(bytes(result)))
    .map(({ result }) => ({ x: result.parameters / 1e9, y: bytes(result) / 2 ** 30 }))
    .toSorted((a, b) => a.x - b.x);
}
