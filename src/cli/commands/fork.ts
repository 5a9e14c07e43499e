import { settingNames, settingOf } from '../../settings/settings.ts';
import { defineCommand } from '../command.ts';
import { engineOptions, jsonOption } from '../common-options.ts';
import { chosenTask, dataOption, dataSource, taskFileOption, taskOption } from '../data-options.ts';
import { graderOption, readGrader } from '../evaluation.ts';
import { bestStep, stepOption } from '../model-option.ts';
import type { OptionSpecification } from '../option.ts';
import { requireOption } from '../require-option.ts';
import { givenSettings, settingOption } from '../setting-options.ts';
import { trainWithReport } from './train.ts';

/** What changes has the run's own value where none is given. */
const changes = { group: 'Changes', defaultText: "the run's" } as const;

// Without their defaults, which would be changes.
const changeable: readonly OptionSpecification[] = settingNames
  .filter((name) => settingOf(name).changes)
  .map((name) => ({ ...settingOption(name), ...changes, default: undefined }) as unknown as OptionSpecification);

/** What a fork has from its run whatever is asked. */
const fixed = Object.fromEntries(
  settingNames
    .filter((name) => !settingOf(name).changes)
    .map((name) => [
      settingOption(name).name,
      'cannot change in a fork: it gives the recorded numbers their meaning, or decides what the run learns from; ' +
        'start a run of its own with subzero train',
    ]),
);

const validationOption = {
  name: 'validation',
  type: 'text',
  placeholder: 'PATH',
  description: 'data to evaluate on',
  ...changes,
} as const;

export const forkCommand = defineCommand({
  name: 'fork',
  summary: 'Start a new run from a step of another, with other settings',
  usage: ['fork --run RUN [--step N|best] --out NEW [changes]'],
  details: [
    'The new run holds the steps up to N itself and needs only the base model. Settings that give the recorded ' +
      'numbers their meaning (optimiser, scheme, seed, rank, refresh, ε, …) stay as they are; a schedule counts from ' +
      'the first step of all.',
  ],
  refused: fixed,
  options: [
    { name: 'run', type: 'text', placeholder: 'RUN', description: 'run folder to fork' },
    { ...stepOption, description: `the last step that both have; ${bestStep}` },
    {
      name: 'out',
      type: 'text',
      placeholder: 'NEW',
      description: 'new folder for the journal, the metrics and the loss curve',
    },
    // Their values are for givenSettings alone.
    ...(changeable as readonly []),
    { ...taskOption, ...changes },
    { ...taskFileOption, ...changes },
    { ...dataOption, ...changes },
    validationOption,
    { ...graderOption, ...changes },
    { ...jsonOption, description: 'print every event (start, step, evaluation, done) as a JSON line' },
    ...engineOptions,
  ],
  examples: [
    {
      text: 'go on with other data, whose columns have other names',
      command: 'subzero fork --run runs/a --data more.csv --columns prompt=question,completion=answer --out runs/b',
    },
    {
      text: 'go on from the best step with a tenth of the learning rate',
      command: 'subzero fork --run runs/sst2 --step best --learning-rate 5e-6 --steps 600 --out runs/sst2-slow',
    },
  ],
  async run(context) {
    const { options } = context;
    const fork = requireOption(options.run, 'fork', 'run RUN');
    const out = requireOption(options.out, 'fork', 'out NEW');
    const { step, data, validation } = options;
    const grader = options.grader === undefined ? {} : { grader: (await readGrader(options.grader)).grader };
    const asked = options.grader === undefined ? {} : ({ objective: 'reward' } as const);
    const task = chosenTask(options.task, options.taskFile);
    return trainWithReport(context, {
      ...{ fork, out, configuration: { ...asked, ...givenSettings(context) } },
      ...grader,
      ...(step === undefined ? {} : { step }),
      ...(data === undefined ? {} : { data: dataSource(task, data) }),
      ...(validation === undefined ? {} : { validation: dataSource(task, validation, 'validation') }),
    });
  },
});
