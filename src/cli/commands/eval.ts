import { type Learn, learnChoices } from '../../data/example.ts';
import type { EvaluationResult } from '../../engine/types.ts';
import { plural } from '../../format.ts';
import { defineCommand } from '../command.ts';
import { engineOptions, jsonOption } from '../common-options.ts';
import { dataOption, dataSource, taskOption } from '../data-options.ts';
import { localAdapter, localPath, offlineOption } from '../hub-option.ts';
import { interruptible } from '../interrupt.ts';
import { loadOnlyModel, loraOption, modelOption, stepOption, storageOption } from '../model-option.ts';
import { createProgress } from '../progress.ts';
import { requireOption } from '../require-option.ts';
import { scoresText } from '../scores-text.ts';
import { withEngine } from '../with-engine.ts';

export const evalCommand = defineCommand({
  name: 'eval',
  summary: 'Measure loss and accuracy, or F1, of a model on a task or a data file',
  usage: ['eval --model DIR|RUN (--task NAME --data DIR | --data FILE) [options]'],
  options: [
    modelOption,
    { ...stepOption, group: 'Model and data' },
    loraOption,
    storageOption,
    offlineOption,
    taskOption,
    dataOption,
    {
      name: 'limit',
      type: 'integer',
      minimum: 1,
      description: 'use only the first N examples',
      defaultText: 'all',
      group: 'Model and data',
    },
    {
      name: 'learn',
      type: 'text',
      placeholder: 'TURNS',
      choices: learnChoices,
      description: 'which answers of a conversation count: all whose weight is not 0, or the last one',
      default: 'all',
      group: 'Model and data',
    },
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
    const data = dataSource(options.task, options.data);
    const path = await localPath(context, given);
    const lora = await localAdapter(context, options.lora);
    return withEngine(context, async (engine) => {
      const model = await loadOnlyModel(engine, path, { ...options, lora });
      const progress = createProgress(context, options.quiet || options.json);
      const notice = () => progress.line('stopping');
      const learn = options.learn as Learn;
      const request = {
        model,
        data,
        ...(learn === 'all' ? {} : { learn }),
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
