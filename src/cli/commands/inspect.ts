import type { EngineInfo, WeightStorage } from '../../engine/types.ts';
import { formatBytes, formatCount, plural } from '../../format.ts';
import { defaultConfiguration } from '../../settings/configuration.ts';
import { methods, optimizerNames } from '../../settings/methods.ts';
import { schemeNames, schemes } from '../../settings/schemes.ts';
import type { TrainingEstimate } from '../../train/estimate.ts';
import type { Inspection } from '../../train/inspect.ts';
import { defineCommand } from '../command.ts';
import { engineOptions, jsonOption } from '../common-options.ts';
import { localPath, offlineOption } from '../hub-option.ts';
import { modelOption, storageOption } from '../model-option.ts';
import { requireOption } from '../require-option.ts';
import { withEngine } from '../with-engine.ts';
import { errorLines } from './quantize.ts';

export const inspectCommand = defineCommand({
  name: 'inspect',
  summary: 'Say what a model is and how much GPU memory it would take, without loading it',
  usage: ['inspect MODEL [options]'],
  details: [
    'Reads config.json, the tokenizer and the headers of the weight files; needs no GPU unless it is asked for. ' +
      'With --storage q8 or q4 also the weights, to say what rounding does to each matrix.',
  ],
  operands: ['model'],
  options: [
    { ...modelOption, description: `${modelOption.description}; the name of the option can be left out` },
    storageOption,
    offlineOption,
    {
      name: 'tokens',
      type: 'integer',
      minimum: 2,
      maximum: 1_000_000,
      description: 'length of the examples that the memory of training is said for',
      default: 128,
      group: 'Model and data',
    },
    {
      name: 'adapter-limits',
      type: 'flag',
      description: 'open the GPU and count with its limits instead of usual ones',
      group: 'Model and data',
    },
    { ...jsonOption, description: 'print everything as one JSON line' },
    ...engineOptions,
  ],
  examples: [
    { text: 'the example model', command: 'subzero inspect examples/reviews-3m' },
    { text: 'a model of the hub, on this GPU', command: 'subzero inspect org/name --adapter-limits' },
  ],
  async run(context) {
    const { options } = context;
    const given = requireOption(options.model, 'inspect', 'model DIR|RUN');
    const path = await localPath(context, given);
    const device = options.adapterLimits ? await withEngine(context, (engine) => engine.info()) : undefined;
    const { inspectModel } = await import('../../train/inspect.ts');
    const found = await inspectModel(path, {
      storage: options.storage as WeightStorage,
      tokens: options.tokens,
      ...(device ? { limits: limitsOf(device) } : {}),
    });
    for (const warning of found.warnings) context.standardError.write(`warning: ${warning}\n`);
    const adapter = device && { description: nameOf(device), ...limitsOf(device) };
    const { quantization } = found;
    const text = options.json
      ? JSON.stringify({ ...found, ...(adapter ? { adapter } : {}) })
      : [
          ...describe(found),
          ...(quantization ? ['', 'rounding', ...errorLines(quantization).map((line) => `  ${line}`)] : []),
          ...(device ? describeAdapter(found, device) : []),
        ].join('\n');
    context.standardOutput.write(`${text}\n`);
    return 0;
  },
});

function limitsOf({ limits, adapter, features }: EngineInfo) {
  const { maxStorageBufferBindingSize: bindingLimit, maxBufferSize } = limits;
  const { software, subgroupSizes } = adapter;
  const shares = software && features.includes('subgroups');
  return { bindingLimit, maxBufferSize, software, ...(shares ? { subgroupSizes } : {}) };
}

function nameOf({ adapter }: EngineInfo): string {
  return adapter.description || adapter.device;
}

/** `name  value` lines; a text under an empty name goes on with the one above. */
function lines(rows: readonly (readonly [name: string, value: string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`.trimEnd());
}

/** Columns under each other: the first to the left, numbers to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const cell = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!);
  return rows.map((row) => `  ${row.map(cell).join('  ')}`.trimEnd());
}

function describe(found: Inspection): string[] {
  const { parameters, stored, tokenizer, memory, run, attention, layers, window } = found;
  const share = (count: number): string => `${((100 * count) / parameters.total).toFixed(1)} %`;
  const { blocks, ...sublayers } = layers;
  const kinds = Object.entries(sublayers).map(([kind, count]) => `${count} ${kind}`);
  const heads = [attention, ...(found.otherAttention ?? [])]
    .map((each) => `${each.heads} heads of ${each.headWidth}, ${each.keyHeads} of keys and values`)
    .join('; ');
  const dtypes = Object.entries(stored.bytesByDtype).map(([dtype, bytes]) => `${dtype} ${formatBytes(bytes)}`);
  const byKind = Object.entries(parameters.byKind).map(([kind, count]) => [kind, formatCount(count), share(count)]);
  // A tied head may still have parameters beside its matrix, as masked language models do.
  const tiedPart = parameters.byKind.head === undefined ? 'head' : 'head matrix';
  const tied = parameters.tiedHead ? [[tiedPart, 'the embedding', '']] : [];
  const windowed = window === undefined ? '' : `, window ${formatCount(window)}`;
  const context = `${formatCount(found.contextLength)} tokens${windowed}`;
  return [
    ...lines([
      ['model', found.directory],
      ...(run
        ? ([['run', `${plural(run.steps, 'step')} of ${run.optimizer}, ${schemes[run.scheme].title}`]] as const)
        : []),
      ['architecture', found.architecture],
      ['context', context],
      ['layers', `${blocks} blocks: ${kinds.join(', ')}; width ${found.embeddingWidth}, ${heads}`],
      ['files', `${plural(stored.files, 'file')}, ${plural(stored.tensors, 'tensor')}: ${dtypes.join(', ')}`],
      ...(stored.quantization === undefined ? [] : [['quantised', stored.quantization] as const]),
      ...('problem' in tokenizer
        ? ([['tokenizer', tokenizer.problem]] as const)
        : ([
            ['tokenizer', `${tokenizer.kind}, ${formatCount(tokenizer.vocabularySize)} entries`],
            ['', specialTokens(tokenizer)],
          ] as const)),
      ['chat template', found.chatTemplate ? 'yes' : 'no'],
      ['parameters', formatCount(parameters.total)],
    ]),
    ...table([...byKind, ...tied]),
    '',
    ...describeMemory(memory),
  ];
}

function specialTokens({
  specialTokens: tokens,
  addsBosToken,
}: Extract<Inspection['tokenizer'], { kind: string }>): string {
  const named = Object.entries(tokens).map(([name, token]) => `${name.replace(/_token$/, '')} ${token}`);
  return [...named, `BOS in front of texts: ${addsBosToken ? 'yes' : 'no'}`].join(', ');
}

function describeMemory({ storage, inference, training }: Inspection['memory']): string[] {
  const { weightBytes, cacheBytesPerToken } = inference;
  const { batchSize } = defaultConfiguration;
  const find = (scheme: string, optimizer: string): TrainingEstimate =>
    training.estimates.find((estimate) => estimate.scheme === scheme && estimate.optimizer === optimizer)!;
  const problems = [
    ...new Set(training.estimates.flatMap((estimate) => ('problem' in estimate ? [estimate.problem] : []))),
  ];
  const cell = (estimate: TrainingEstimate): string =>
    'plan' in estimate ? formatBytes(estimate.plan.totalBytes) : `no (${problems.indexOf(estimate.problem) + 1})`;
  return [
    `GPU memory, weights stored as ${storage === 'auto' ? 'in the file' : storage}`,
    ...table([
      ['inference: weights', formatBytes(weightBytes)],
      ['  and for 1,000 tokens of all texts', formatBytes(1000 * cacheBytesPerToken)],
    ]),
    `  training in all, ${batchSize} examples of ${formatCount(training.tokens)} tokens a step (smaller with ` +
      `--memory):`,
    ...table([
      ['  what trains', ...optimizerNames.map((name) => methods[name].title)],
      ...schemeNames.map((scheme) => [
        `  ${schemes[scheme].title}`,
        ...optimizerNames.map((optimizer) => cell(find(scheme, optimizer))),
      ]),
    ]),
    ...problems.map((problem, index) => `  (${index + 1}) ${problem}`),
  ];
}

function describeAdapter({ memory }: Inspection, device: EngineInfo): string[] {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  return [
    '',
    ...lines([
      ['adapter', nameOf(device)],
      ['binding', `${formatBytes(maxStorageBufferBindingSize)} at most; larger matrices are split by rows`],
      [
        'buffer',
        `${formatBytes(maxBufferSize)} at most; the largest here is ` +
          `${formatBytes(memory.inference.largestBufferBytes)}`,
      ],
      ['in all', 'WebGPU does not say how much memory there is; loading says when it does not suffice'],
    ]),
  ];
}
