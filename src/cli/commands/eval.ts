import type { EvaluationResult } from '../../engine/types.ts';
import { plural } from '../../format.ts';
import { readingSettings } from '../../settings/settings.ts';
import { defineCommand } from '../command.ts';
import { engineOptions, jsonOption } from '../common-options.ts';
import { chosenTask, dataOption, taskFileOption, taskOption } from '../data-options.ts';
import { localAdapter, localData, localPath, offlineOption } from '../hub-option.ts';
import { interruptible } from '../interrupt.ts';
import { loadOnlyModel, loraOption, modelOption, stepOption, storageOption } from '../model-option.ts';
import type { OptionSpecification } from '../option.ts';
import { createProgress } from '../progress.ts';
import { requireOption } from '../require-option.ts';
import { scoresText } from '../scores-text.ts';
import { givenSettings, settingOption } from '../setting-options.ts';
import { withEngine } from '../with-engine.ts';

/** How rows are read; what they are to a run they are to an evaluation. */
const readingOptions: readonly OptionSpecification[] = readingSettings.map((name) => ({
  ...settingOption(name),
  group: 'Model and data',
}));

export const evalCommand = defineCommand({
  name: 'eval',
  summary: 'Measure loss and accuracy, or F1, of a model on a task or a data file',
  usage: ['eval --model DIR|RUN (--task NAME --data DIR | --data FILE|DIR) [options]'],
  options: [
    modelOption,
    { ...stepOption, group: 'Model and data' },
    loraOption,
    storageOption,
    offlineOption,
    taskOption,
    taskFileOption,
    dataOption,
    {
      name: 'limit',
      type: 'integer',
      minimum: 1,
      description: 'use only the first N examples',
      defaultText: 'all',
      group: 'Model and data',
    },
    // Their values are for givenSettings alone.
    ...(readingOptions as readonly []),
    jsonOption,
    ...engineOptions,
  ],
  examples: [
    {
      text: 'accuracy of the example model before any training',
      command: 'subzero eval --model examples/reviews-3m --task sst2 --data examples/sst2',
    },
    {
      text: 'the same for a run, as JSON',
      command: 'subzero eval --model runs/sst2 --task sst2 --data examples/sst2 --json',
    },
  ],
  async run(context) {
    const { options } = context;
    const given = requireOption(options.model, 'eval', 'model DIR|RUN');
    const data = await localData(context, chosenTask(options.task, options.taskFile), options.data);
    const path = await localPath(context, given);
    const lora = await localAdapter(context, options.lora);
    return withEngine(context, async (engine) => {
      const model = await loadOnlyModel(engine, path, { ...options, lora });
      const progress = createProgress(context, options.quiet || options.json);
      const notice = () => progress.line('stopping');
      const request = {
        model,
        data,
        ...Object.fromEntries(
          Object.entries(givenSettings(context)).filter(([name]) => readingSettings.some((other) => other === name)),
        ),
        ...(options.limit === undefined ? {} : { limit: options.limit }),
      };
      const { result, exitCode } = await interruptible(context, notice, async (signal) => {
        try {
          return await engine.evaluate(
            request,
            (done, total) => progress.update(`evaluated ${done} of ${plural(total, 'example')}`),
            signal,
          );
        } finally {
          progress.end();
        }
      });
      if (exitCode !== 0) return exitCode;
      if (result.truncated !== undefined) {
        progress.line(
          `warning: ${result.truncated} of ${plural(result.examples, 'example')} did not fit the model's context and lost the start of their prompt`,
        );
      }
      context.standardOutput.write(`${options.json ? JSON.stringify(result) : describe(result)}\n`);
      return 0;
    });
  },
});

function describe(result: EvaluationResult): string {
  const { loss, examples, seconds } = result;
  return `${scoresText(result)}loss ${loss.toFixed(4)} on ${plural(examples, 'example')} (${seconds.toFixed(1)} s)`;
}
