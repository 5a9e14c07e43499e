import { learnChoices } from '../../data/example.ts';
import type { TrainEvent, TrainRequest } from '../../engine/types.ts';
import { SubzeroError } from '../../errors.ts';
import { shellWord } from '../../format.ts';
import {
  defaultConfiguration,
  resolveConfiguration,
  schemeNames,
  storageNames,
  type TrainConfiguration,
} from '../../settings/configuration.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { type DeviceChoice, engineOptions, jsonOption } from '../common-options.ts';
import { dataOption, dataSource, taskOption } from '../data-options.ts';
import { reportFind } from '../find-report.ts';
import type { Host } from '../host.ts';
import { idleSettings } from '../idle-settings.ts';
import { interruptible } from '../interrupt.ts';
import { camelCase, type OptionValues } from '../option.ts';
import { requireOption } from '../require-option.ts';
import { createTrainReport } from '../train-report.ts';
import { UsageError } from '../usage-error.ts';
import { withEngine } from '../with-engine.ts';

const model = 'Model and data';
const run = 'Run';
const method = 'Method';

/** The training settings among the options; each has the same name, in camel case, in the configuration. */
export const settingOptions = [
  {
    name: 'optimizer',
    type: 'text',
    placeholder: 'NAME',
    choices: ['subzero', 'subzero-plus', 'mezo', 'sparse-mezo', 'hizoo'] satisfies TrainConfiguration['optimizer'][],
    description: 'how the weights are updated; defaults below are those of subzero',
    default: defaultConfiguration.optimizer,
    group: method,
  },
  {
    name: 'scheme',
    type: 'text',
    placeholder: 'NAME',
    choices: schemeNames,
    description:
      "what trains: the model's own parameters, LoRA beside them, or virtual tokens in front of every text (by embedding, or by keys and values)",
    default: defaultConfiguration.scheme,
    group: method,
  },
  {
    name: 'parameters',
    type: 'list',
    placeholder: 'PATTERN',
    description: 'train only parameters whose names fit, such as "*.self_attn.*"; "!*.bias" leaves out',
    group: method,
  },
  {
    name: 'lora-rank',
    type: 'integer',
    description: 'lora: rows of A and columns of B',
    default: defaultConfiguration.loraRank,
    check: settingCheck('loraRank'),
    group: method,
  },
  {
    name: 'lora-alpha',
    type: 'number',
    description: 'lora: α; the product of A and B counts α/rank times',
    default: defaultConfiguration.loraAlpha,
    check: settingCheck('loraAlpha'),
    group: method,
  },
  {
    name: 'lora-targets',
    type: 'list',
    placeholder: 'NAME',
    description: 'lora: a kind of linear layer, such as q_proj; queries and values if left out',
    group: method,
  },
  {
    name: 'virtual-tokens',
    type: 'integer',
    description: 'prompt and prefix (there 5): how many virtual tokens; each takes a position of the context',
    default: defaultConfiguration.virtualTokens,
    check: settingCheck('virtualTokens'),
    group: method,
  },
  {
    name: 'steps',
    type: 'integer',
    description: 'training steps; with --resume the new total',
    default: defaultConfiguration.steps,
    check: settingCheck('steps'),
    group: method,
  },
  {
    name: 'batch-size',
    type: 'integer',
    description: 'examples per step',
    default: defaultConfiguration.batchSize,
    check: settingCheck('batchSize'),
    group: method,
  },
  {
    name: 'accumulate',
    type: 'integer',
    description: 'batches that make one step, in the memory of one of them',
    default: defaultConfiguration.accumulate,
    check: settingCheck('accumulate'),
    group: method,
  },
  {
    name: 'sampling',
    type: 'text',
    placeholder: 'NAME',
    choices: ['with-replacement', 'shuffle'] satisfies TrainConfiguration['sampling'][],
    description: 'how examples are drawn: each time from all of them, or each once an epoch in a new order',
    default: defaultConfiguration.sampling,
    group: method,
  },
  {
    name: 'learn',
    type: 'text',
    placeholder: 'TURNS',
    choices: learnChoices,
    description: 'which answers of a conversation are learnt: all whose weight is not 0, or the last one',
    default: defaultConfiguration.learn,
    group: method,
  },
  {
    name: 'learning-rate',
    type: 'number',
    description: 'η; far smaller than for back-propagation',
    default: defaultConfiguration.learningRate,
    check: settingCheck('learningRate'),
    group: method,
  },
  {
    name: 'schedule',
    type: 'text',
    placeholder: 'NAME',
    choices: ['constant', 'linear', 'cosine'] satisfies TrainConfiguration['schedule'][],
    description: 'course of the learning rate over the steps',
    default: defaultConfiguration.schedule,
    group: method,
  },
  {
    name: 'warmup-steps',
    type: 'integer',
    description: 'steps over which the learning rate rises from 0',
    default: defaultConfiguration.warmupSteps,
    check: settingCheck('warmupSteps'),
    group: method,
  },
  {
    name: 'epsilon',
    type: 'number',
    description: 'ε, the scale of the perturbation',
    default: defaultConfiguration.epsilon,
    check: settingCheck('epsilon'),
    group: method,
  },
  {
    name: 'rank',
    type: 'integer',
    description: 'r, the rank of the perturbation of each matrix',
    default: defaultConfiguration.rank,
    check: settingCheck('rank'),
    group: method,
  },
  {
    name: 'refresh',
    type: 'integer',
    description: 'F, steps between two draws of the subspaces',
    default: defaultConfiguration.refresh,
    check: settingCheck('refresh'),
    group: method,
  },
  {
    name: 'queries',
    type: 'integer',
    description: 'K, random directions averaged per step',
    default: defaultConfiguration.queries,
    check: settingCheck('queries'),
    group: method,
  },
  {
    name: 'sides',
    type: 'integer',
    choices: [1, 2] satisfies TrainConfiguration['sides'][],
    description: '2 = central difference, 1 = forward difference',
    default: defaultConfiguration.sides,
    group: method,
  },
  {
    name: 'norm-alignment',
    type: 'flag',
    description: 'scale a perturbation to the norm that dense noise has, so that learning rates carry over',
    default: defaultConfiguration.normAlignment,
    group: method,
  },
  {
    name: 'weight-decay',
    type: 'number',
    description: 'decoupled weight decay of matrices',
    default: defaultConfiguration.weightDecay,
    check: settingCheck('weightDecay'),
    group: method,
  },
  {
    name: 'sparsity',
    type: 'number',
    description: 'sparse-mezo: the share of each tensor, its largest weights, that is left alone',
    default: defaultConfiguration.sparsity,
    check: settingCheck('sparsity'),
    group: method,
  },
  {
    name: 'hessian-smoothing',
    type: 'number',
    description: 'hizoo: the weight of a step in the running curvature',
    default: defaultConfiguration.hessianSmoothing,
    check: settingCheck('hessianSmoothing'),
    group: method,
  },
  {
    name: 'mezo-update',
    type: 'text',
    placeholder: 'NAME',
    choices: ['sgd', 'momentum', 'adam'] satisfies TrainConfiguration['mezoUpdate'][],
    description: 'mezo: the update; momentum keeps another f32 copy of the weights, adam two',
    default: defaultConfiguration.mezoUpdate,
    group: method,
  },
  {
    name: 'adam-beta1',
    type: 'number',
    description: 'subzero-plus, momentum and adam of mezo: decay of the mean of gradients',
    default: defaultConfiguration.adamBeta1,
    check: settingCheck('adamBeta1'),
    group: method,
  },
  {
    name: 'adam-beta2',
    type: 'number',
    description: 'subzero-plus and adam of mezo (0.999 there): decay of the mean of squared gradients',
    default: defaultConfiguration.adamBeta2,
    check: settingCheck('adamBeta2'),
    group: method,
  },
  {
    name: 'seed',
    type: 'integer',
    description: 'of everything random; the same seed on the same adapter makes the same bits',
    default: defaultConfiguration.seed,
    check: settingCheck('seed'),
    group: method,
  },
  {
    name: 'batch-seed',
    type: 'integer',
    description: 'added to the seed where examples are drawn: other batches with the same directions',
    default: defaultConfiguration.batchSeed,
    check: settingCheck('batchSeed'),
    group: method,
  },
  {
    name: 'storage',
    type: 'text',
    placeholder: 'TYPE',
    choices: storageNames,
    description: 'type of the weights on the GPU; auto keeps that of the file, or f32 on a software adapter',
    default: defaultConfiguration.storage,
    group: method,
  },
  {
    name: 'evaluate-every',
    type: 'integer',
    description: 'steps between two evaluations on the validation data; 0 = only at the end',
    default: defaultConfiguration.evaluateEvery,
    check: settingCheck('evaluateEvery'),
    group: run,
  },
  {
    name: 'early-stopping',
    type: 'integer',
    placeholder: 'PATIENCE',
    description: 'end after so many evaluations in a row without a lower validation loss; 0 = never',
    default: defaultConfiguration.earlyStopping,
    check: settingCheck('earlyStopping'),
    group: run,
  },
  {
    name: 'tensorboard',
    type: 'flag',
    description: 'write event files for TensorBoard into the run folder',
    default: defaultConfiguration.tensorboard,
    group: run,
  },
  {
    name: 'memory',
    type: 'bytes',
    description:
      'GPU memory that the run may take, such as 6GiB; larger steps run in several passes; 0 = no limit; with --resume from now on',
    default: defaultConfiguration.memory,
    check: settingCheck('memory'),
    group: run,
  },
  {
    name: 'max-rows',
    type: 'integer',
    description: 'most rows (tokens times probes) in one forward pass; a larger step runs in several',
    default: defaultConfiguration.maxRows,
    check: settingCheck('maxRows'),
    group: run,
  },
] as const;

const options = [
  {
    name: 'model',
    type: 'text',
    placeholder: 'DIR',
    description: 'model directory with config.json, *.safetensors and tokenizer.json',
    group: model,
  },
  taskOption,
  dataOption,
  {
    name: 'validation',
    type: 'text',
    placeholder: 'PATH',
    description: 'JSONL file, or with --task a folder, to evaluate on',
    defaultText: "the task's own, or none",
    group: model,
  },
  ...settingOptions,
  {
    name: 'epochs',
    type: 'number',
    description: 'instead of --steps: how often each example is seen, on average; above 0',
    group: method,
  },
  {
    name: 'out',
    type: 'text',
    placeholder: 'RUN',
    description: 'new folder for the journal, the metrics and the loss curve',
    group: run,
  },
  {
    name: 'resume',
    type: 'text',
    placeholder: 'RUN',
    description: 'continue this run where its journal ends; takes only --steps and --memory besides',
    group: run,
  },
  {
    name: 'find-lr',
    type: 'flag',
    description: 'train nothing: try learning rates for a few steps each and suggest one',
    group: run,
  },
  {
    name: 'trial-steps',
    type: 'integer',
    minimum: 1,
    maximum: 1_000_000,
    description: 'with --find-lr: steps of a trial',
    default: 50,
    group: run,
  },
  ...engineOptions,
  { ...jsonOption, description: 'print every event (start, step, evaluation, done) as a JSON line' },
] as const;

type TrainOptions = OptionValues<typeof options>;

export const trainCommand = defineCommand({
  name: 'train',
  summary: 'Fine-tune a model by zeroth-order optimisation; a run folder keeps every step',
  usage: [
    'train --model DIR (--task NAME --data DIR | --data FILE) --out RUN [options]',
    'train --resume RUN [--steps N] [--memory BYTES]',
    'train --find-lr --model DIR (--task NAME --data DIR | --data FILE) [options]',
  ],
  details: [
    'Ctrl-C ends the run after the current step with everything saved; --resume continues it, bit for bit as if it had not stopped.',
  ],
  options,
  examples: [
    {
      text: 'the example model on SST-2, as the demo does',
      command:
        'subzero train --model examples/reviews-3m --task sst2 --data examples/sst2 --out runs/sst2 \\\n' +
        '  --steps 300 --learning-rate 5e-5 --rank 8 --refresh 100',
    },
    {
      text: 'your own data',
      command:
        'subzero train --model DIR --data train.jsonl --validation dev.jsonl --out runs/mine \\\n' +
        '  --evaluate-every 100 --early-stopping 5',
    },
    {
      text: 'which learning rate?',
      command: 'subzero train --find-lr --model examples/reviews-3m --task sst2 --data examples/sst2 --rank 8',
    },
    { text: 'go on after an interruption', command: 'subzero train --resume runs/mine' },
  ],
  run: (context) =>
    context.options.findLr ? findLearningRate(context) : trainWithReport(context, trainRequest(context)),
});

/** Trains and shows how it goes. @returns the exit code */
export async function trainWithReport(
  context: Host & { readonly options: DeviceChoice & { quiet: boolean; json: boolean } },
  request: TrainRequest,
): Promise<number> {
  return withEngine(context, async (engine) => {
    const report = createTrainReport(context, context.options);
    const notice = () => report.notice('stopping after this step; press Ctrl-C again to end at once');
    const { result: last, exitCode } = await interruptible(context, notice, async (signal) => {
      let done: Extract<TrainEvent, { type: 'done' }> | undefined;
      try {
        for await (const event of engine.train(request, signal)) {
          report.event(event);
          if (event.type === 'done') done = event;
        }
      } finally {
        report.end();
      }
      return done;
    });
    return last?.outcome === 'finished' ? 0 : exitCode || 1;
  });
}

/**
 * The engine's request for these options.
 * @throws UsageError when they contradict each other or something is missing
 */
function trainRequest(context: CommandContext<TrainOptions>): TrainRequest {
  const { options: values, sources } = context;
  const explicit = (key: string) => sources[key] === 'flag' || sources[key] === 'configuration file';
  if (values.resume !== undefined) {
    const settings = settingOptions.map(({ name }) => name).filter((name) => name !== 'steps' && name !== 'memory');
    const names = ['model', 'task', 'data', 'validation', 'out', 'epochs', ...settings];
    const clash = names.find((name) => explicit(camelCase(name)));
    if (clash) {
      throw new UsageError(`--resume continues a run as it was set up; --${clash} cannot change it`, {
        parameter: clash,
        hint: `leave it out, or start a new run from this one: subzero fork --run ${shellWord(values.resume)} --out NEW`,
      });
    }
    return {
      resume: values.resume,
      ...(sources.steps === 'default' ? {} : { steps: values.steps }),
      ...(sources.memory === 'default' ? {} : { memory: values.memory }),
    };
  }
  const sourced = modelAndData(values);
  const out = requireOption(values.out, 'train', 'out RUN');
  if (values.epochs !== undefined && explicit('steps')) {
    throw new UsageError('--epochs and --steps both say how long to train; give one of them', { parameter: 'epochs' });
  }
  const configuration = givenSettings(context);
  for (const warning of idleSettings(configuration)) context.standardError.write(`warning: ${warning}\n`);
  return { ...sourced, out, ...(values.epochs === undefined ? {} : { epochs: values.epochs }), configuration };
}

/** What is trained, and on what. @throws UsageError when it is not there */
function modelAndData({ model: given, task, data: path, validation: other }: TrainOptions) {
  const directory = requireOption(given, 'train', 'model DIR');
  const data = dataSource(task, path);
  const validation = other === undefined ? undefined : dataSource(task, other, 'validation');
  return { model: directory, data, ...(validation ? { validation } : {}) };
}

/** Shows how learning rates do. @returns the exit code */
async function findLearningRate(context: CommandContext<TrainOptions>): Promise<number> {
  const { options: values, sources } = context;
  const clash = (['resume', 'out', 'epochs'] as const).find((name) => values[name] !== undefined);
  if (clash || sources.learningRate !== 'default') {
    const name = clash ?? 'learning-rate';
    throw new UsageError(`--find-lr trains nothing and writes nothing; --${name} has no meaning with it`, {
      parameter: name,
    });
  }
  const request = {
    ...modelAndData(values),
    configuration: givenSettings(context),
    trialSteps: values.trialSteps,
  };
  return withEngine(context, async (engine) => {
    const { exitCode } = await interruptible(
      context,
      () => context.standardError.write('stopping after this step\n'),
      (signal) => reportFind(context, engine.findLearningRate(request, signal), values),
    );
    return exitCode;
  });
}

/** Only what was given: the defaults are the configuration's own business. */
export function givenSettings({
  options,
  sources,
}: Pick<CommandContext<object>, 'options' | 'sources'>): Partial<TrainConfiguration> {
  const values = options as Readonly<Record<string, unknown>>;
  const keys = settingOptions.map((option) => camelCase(option.name) as keyof TrainConfiguration);
  return Object.fromEntries(
    keys.filter((key) => sources[key] !== undefined && sources[key] !== 'default').map((key) => [key, values[key]]),
  );
}

/** Bounds are the configuration's own; only the name in the message becomes the one that the user wrote. */
function settingCheck(key: keyof TrainConfiguration) {
  return (value: number, label: string) => {
    try {
      resolveConfiguration({ [key]: value });
    } catch (error) {
      if (!(error instanceof SubzeroError)) throw error;
      // Another setting at fault is one that this one needs; the run will see them together.
      if (error.parameter !== key) return;
      throw new UsageError(error.message.replace(key, label), { parameter: key });
    }
  };
}
