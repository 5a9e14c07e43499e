import { SubzeroError } from '../../errors.ts';
import { formatCount, plural } from '../../format.ts';
import { join } from '../../platform/index.ts';
import { defineCommand } from '../command.ts';
import { configOption, jsonOption, quietOption } from '../common-options.ts';
import type { OptionSpecification } from '../option.ts';
import { recordOptions, recordRequest, recordWithProgress } from '../record-options.ts';
import { requireOption } from '../require-option.ts';
import { givenSettings, settingOption } from '../setting-options.ts';

const group = 'Prompts and answers';

/** How rows become prompts. */
const promptColumns: readonly OptionSpecification[] = (['columns', 'template'] as const).map((name) => ({
  ...settingOption(name),
  group,
}));

export const recordCommand = defineCommand({
  name: 'record',
  summary: 'Keep what a model behind an OpenAI-compatible API answers, as rows to train on',
  usage: ['record --prompts FILE --teacher NAME --out FOLDER [options]'],
  details: [
    'A prompt is a row with "messages" (an answer at their end is left out) or a "prompt". The folder gets ' +
      'golden.jsonl, rows that train as they are, recording.json with settings and figures, and answers.jsonl. After ' +
      'an interruption the same command goes on; no prompt that has an answer is asked again.',
  ],
  options: [
    {
      name: 'prompts',
      type: 'text',
      placeholder: 'FILE',
      description: 'file with a prompt in each row',
      group,
    },
    // Their values are for givenSettings alone.
    ...(promptColumns as readonly []),
    { name: 'out', type: 'text', placeholder: 'FOLDER', description: 'folder of the recording', group },
    ...recordOptions,
    quietOption,
    { ...jsonOption, description: 'print the figures as one JSON line' },
    configOption,
  ],
  examples: [
    {
      text: 'a fine-tuned model of OpenAI, before it is switched off',
      command:
        'OPENAI_API_KEY=… subzero record --prompts prompts.jsonl --teacher ft:gpt-4o-mini:… \\\n' + '  --out recording',
    },
    {
      text: 'a server of your own, prompts from a table',
      command:
        'subzero record --base-url http://127.0.0.1:8080/v1 --teacher reviews-3m --endpoint completions \\\n' +
        '  --prompts questions.csv --columns prompt=question --answer-tokens 32 --out recording',
    },
  ],
  async run(context) {
    const { options } = context;
    const file = requireOption(options.prompts, 'record', 'prompts FILE');
    const out = requireOption(options.out, 'record', 'out FOLDER');
    const { columns, template } = givenSettings(context);
    const reading = { ...(columns ? { columns } : {}), ...(template ? { template } : {}) };
    const { figures, exitCode } = await recordWithProgress(
      context,
      recordRequest(context, 'record', { file, out, reading }),
    );
    if (!figures) return exitCode;
    if (figures.rows === 0) throw new SubzeroError('invalid_data', `no answer makes a row: ${figures.firstUnusable}`);
    const { rows, prompts, promptTokens, completionTokens } = figures;
    const tokens = `${formatCount(promptTokens)} tokens read, ${formatCount(completionTokens)} written`;
    const line = `${join(out, 'golden.jsonl')}: ${plural(rows, 'row')} of ${plural(prompts, 'prompt')} (${tokens})`;
    context.standardOutput.write(`${options.json ? JSON.stringify(figures) : line}\n`);
    return exitCode;
  },
});
