import type { Engine, TrainEvent, TrainRequest } from '../../engine/types.ts';
import { shellWord } from '../../format.ts';
import { schemesThat } from '../../settings/schemes.ts';
import { settingNames, settingOf } from '../../settings/settings.ts';
import type { RunChanges } from '../../train/changes.ts';
import { wording } from '../../words.ts';
import { clusterAddress, clusterDetails, clusterGroup, clusterOptions } from '../cluster-options.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { type DeviceChoice, engineOptions, jsonOption } from '../common-options.ts';
import { chosenTask, dataOption, taskFileOption, taskOption } from '../data-options.ts';
import { graderOption, readGrader } from '../evaluation.ts';
import { reportFind } from '../find-report.ts';
import { optionForm } from '../help.ts';
import type { Host } from '../host.ts';
import { localAdapter, localData, localPath, offlineOption } from '../hub-option.ts';
import { idleSettings } from '../idle-settings.ts';
import { interruptible } from '../interrupt.ts';
import { loraOption } from '../model-option.ts';
import { camelCase, kebabCase, type OptionSpecification, type OptionValues } from '../option.ts';
import { requireOption } from '../require-option.ts';
import { givenSettings, settingOption } from '../setting-options.ts';
import { createTrainReport } from '../train-report.ts';
import { UsageError } from '../usage-error.ts';
import { withEngine } from '../with-engine.ts';

const model = 'Model and data';
const run = 'Run';
const method = 'Method';

/** Settings that a resumed run may have anew. */
const resumable = settingNames.filter((name) => settingOf(name).changes === 'resume');
const resumableOptions = resumable.map((name) => `--${kebabCase(name)}`).join(' and ');

const settingOptions: readonly OptionSpecification[] = settingNames.map((name) => {
  const option = settingOption(name);
  return resumable.includes(name) ? { ...option, description: `${option.description}; also with --resume` } : option;
});

const options = [
  {
    name: 'model',
    type: 'text',
    placeholder: 'DIR',
    description:
      'GGUF file, model directory with config.json, *.safetensors and tokenizer.json, or ORG/NAME[@REVISION] on the ' +
      'Hugging Face Hub',
    group: model,
  },
  {
    ...loraOption,
    description:
      'with --scheme lora: folder, or ORG/NAME, of a PEFT LoRA adapter to go on from; it decides rank, α and targets',
  },
  offlineOption,
  taskOption,
  taskFileOption,
  dataOption,
  {
    name: 'validation',
    type: 'text',
    placeholder: 'PATH',
    description: 'file or folder to evaluate on, or a share of the training rows to hold out: 5%',
    defaultText: 'that in the folder of the data, or none',
    group: model,
  },
  { ...graderOption, group: method },
  // Their values are for givenSettings alone.
  ...(settingOptions as readonly []),
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
    description: `continue this run where its journal ends; takes only ${resumableOptions} besides`,
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
  ...clusterOptions,
  {
    name: 'deadline',
    type: 'number',
    minimum: 1,
    maximum: 86_400,
    description: 'with --cluster: seconds after which a shard goes to another worker',
    default: 30,
    group: clusterGroup,
  },
  {
    name: 'snapshot-every',
    type: 'integer',
    minimum: 0,
    maximum: 1_000_000_000,
    description: 'with --cluster: steps from one snapshot to the next, from which late workers begin; 0 makes none',
    default: 1000,
    group: clusterGroup,
  },
  {
    name: 'strict',
    type: 'flag',
    description: 'with --cluster: end the run where a worker computes other bits than this process',
    group: clusterGroup,
  },
  ...engineOptions,
  { ...jsonOption, description: 'print every event (start, step, evaluation, done) as a JSON line' },
] as const;

type TrainOptions = OptionValues<typeof options>;

export const trainCommand = defineCommand({
  name: 'train',
  summary: 'Fine-tune a model by zeroth-order optimisation; a run folder keeps every step',
  usage: [
    'train --model DIR (--task NAME --data DIR | --data FILE|DIR) --out RUN [options]',
    `train --resume RUN ${resumable.map((name) => `[${optionForm(settingOption(name))}]`).join(' ')}`,
    'train --find-lr --model DIR (--task NAME --data DIR | --data FILE|DIR) [options]',
  ],
  details: [
    'Ctrl-C ends the run after the current step with everything saved; --resume continues it, bit for bit as if it ' +
      'had not stopped.',
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
    {
      text: 'several machines: start "subzero worker" on the others',
      command: 'subzero train --model DIR --data train.jsonl --out runs/mine --cluster nats://10.0.0.1:4222 --shards 4',
    },
  ],
  run: async (context) =>
    context.options.findLr ? findLearningRate(context) : trainWithReport(context, await trainRequest(context)),
});

/** Trains and shows how it goes. @returns the exit code */
export async function trainWithReport(
  context: Host & { readonly options: DeviceChoice & { quiet: boolean; json: boolean } },
  request: TrainRequest,
): Promise<number> {
  return withEngine(context, (engine) => trainByEngine(context, engine, request, context.options));
}

/** The same with an engine that is open. @param shown what is shown, and how */
export async function trainByEngine(
  context: Host,
  engine: Engine,
  request: TrainRequest,
  shown: Parameters<typeof createTrainReport>[1],
): Promise<number> {
  const report = createTrainReport(context, shown);
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
}

/**
 * The engine's request for these options.
 * @throws UsageError when they contradict each other or something is missing
 */
async function trainRequest(context: CommandContext<TrainOptions>): Promise<TrainRequest> {
  const { options: values, sources } = context;
  const explicit = (key: string) => sources[key] === 'flag' || sources[key] === 'configuration file';
  if (values.resume !== undefined) {
    const settings = settingNames.filter((name) => !resumable.includes(name)).map(kebabCase);
    const names = ['model', 'lora', 'task', 'task-file', 'data', 'validation', 'grader', 'out', 'epochs', ...settings];
    const clash = names.find((name) => explicit(camelCase(name)));
    if (clash) {
      throw new UsageError(`--resume continues a run as it was set up; --${clash} cannot change it`, {
        parameter: clash,
        hint:
          `leave it out, or start a new run from this one: subzero fork --run ${shellWord(values.resume)} --out ` +
          `NEW`,
      });
    }
    const cluster = clusterOf(context);
    const given = Object.entries(givenSettings(context)).filter(([name]) => resumable.some((other) => other === name));
    return { resume: values.resume, ...(Object.fromEntries(given) as RunChanges), ...cluster };
  }
  const { heldOut, ...sourced } = await modelAndData(context, explicit('validationSplit'));
  const out = requireOption(values.out, 'train', 'out RUN');
  if (values.epochs !== undefined && explicit('steps')) {
    throw new UsageError('--epochs and --steps both say how long to train; give one of them', { parameter: 'epochs' });
  }
  const grader = values.grader === undefined ? {} : { grader: (await readGrader(values.grader)).grader };
  const asked = values.grader === undefined ? {} : ({ objective: 'reward' } as const);
  const configuration = { ...asked, ...givenSettings(context), ...heldOut };
  for (const warning of idleSettings(configuration)) {
    context.standardError.write(`warning: ${wording(warning, (name) => `--${kebabCase(name)}`)}\n`);
  }
  const start = await localStart(context, sourced.model);
  const epochs = values.epochs === undefined ? {} : { epochs: values.epochs };
  return { ...sourced, ...start, ...grader, out, ...epochs, configuration, ...clusterOf(context) };
}

/** The cluster of the run, if one is named; without it warns of options that only a cluster reads. */
function clusterOf(context: CommandContext<TrainOptions>): Pick<TrainRequest, 'cluster'> {
  const { options: values, sources, standardError } = context;
  const address = clusterAddress(values, context.environment);
  const { deadline, strict, snapshotEvery } = values;
  if (address) return { cluster: { ...address, deadline, strict, snapshotEvery } };
  for (const name of ['deadline', 'snapshot-every', 'strict', ...clusterDetails]) {
    const source = sources[camelCase(name)];
    if (source !== 'flag' && source !== 'configuration file') continue;
    standardError.write(`warning: --${name} has no effect without --cluster\n`);
  }
  return {};
}

/** What is trained, and on what. @throws UsageError when it is not there */
async function modelAndData(context: CommandContext<TrainOptions>, isSplitGiven: boolean) {
  const { options: values } = context;
  const { model: given, data: path, validation: other } = values;
  const directory = requireOption(given, 'train', 'model DIR');
  const task = chosenTask(values.task, values.taskFile);
  const data = await localData(context, task, path);
  if (other !== undefined && isSplitGiven) {
    throw new UsageError('--validation and --validation-split both say what to evaluate on; give one of them', {
      parameter: 'validation',
    });
  }
  const share = /^(\d+(?:\.\d+)?)\s*%$/.exec(other ?? '')?.[1];
  const heldOut = share === undefined ? {} : { validationSplit: Number(share) / 100 };
  const validation =
    other === undefined || share !== undefined ? undefined : await localData(context, task, other, 'validation');
  return { model: directory, data, ...(validation ? { validation } : {}), heldOut };
}

/**
 * The folders of the model and of the adapter to go on from.
 * @throws UsageError for settings that the adapter decides
 */
async function localStart(
  context: CommandContext<TrainOptions>,
  model: string,
): Promise<{ model: string; lora?: string }> {
  const { lora } = context.options;
  if (lora === undefined) return { model: await localPath(context, model) };
  const given = givenSettings(context);
  const decided = (['loraRank', 'loraAlpha', 'loraTargets'] as const).find((name) => given[name] !== undefined);
  const pairs = schemesThat(({ adds }) => adds === 'pairs');
  if (!pairs.some((name) => name === given.scheme) || decided) {
    const problem = decided
      ? `goes on from an adapter, which decides --${kebabCase(decided)}; leave that out`
      : `goes on from an adapter, which needs --scheme ${pairs.join(' or ')}`;
    throw new UsageError(`--lora ${problem}`, { parameter: decided ? kebabCase(decided) : 'scheme' });
  }
  return { model: await localPath(context, model), lora: (await localAdapter(context, lora))! };
}

/** Shows how learning rates do. @returns the exit code */
async function findLearningRate(context: CommandContext<TrainOptions>): Promise<number> {
  const { options: values, sources } = context;
  const clash = (['resume', 'out', 'epochs', 'grader'] as const).find((name) => values[name] !== undefined);
  if (clash || sources.learningRate !== 'default') {
    const name = clash ?? 'learning-rate';
    throw new UsageError(`--find-lr trains nothing and writes nothing; --${name} has no meaning with it`, {
      parameter: name,
    });
  }
  const { heldOut, ...sourced } = await modelAndData(context, sources.validationSplit !== 'default');
  const request = {
    ...{ ...sourced, ...(await localStart(context, sourced.model)) },
    configuration: { ...givenSettings(context), ...heldOut },
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
