import type { GenerateEvent, GenerateRequest } from '../../engine/types.ts';
import { defineCommand } from '../command.ts';
import { engineOptions, jsonOption } from '../common-options.ts';
import { localAdapter, localPath, offlineOption } from '../hub-option.ts';
import { interruptible } from '../interrupt.ts';
import { loadOnlyModel, loraOption, modelOption, stepOption, storageOption } from '../model-option.ts';
import { createProgress } from '../progress.ts';
import { requireOption } from '../require-option.ts';
import { withEngine } from '../with-engine.ts';

const sampling = 'Sampling';

export const generateCommand = defineCommand({
  name: 'generate',
  summary: 'Continue a prompt with a model',
  usage: ['generate --model DIR|RUN --prompt TEXT [options]'],
  options: [
    modelOption,
    { ...stepOption, group: 'Model and data' },
    loraOption,
    storageOption,
    offlineOption,
    {
      name: 'prompt',
      type: 'text',
      allowEmpty: true,
      description: 'text to continue; "-" reads it from standard input',
      group: 'Model and data',
    },
    {
      name: 'max-tokens',
      type: 'integer',
      minimum: 1,
      maximum: 1_000_000,
      description: 'most tokens to generate',
      default: 128,
      group: sampling,
    },
    {
      name: 'temperature',
      type: 'number',
      minimum: 0,
      maximum: 100,
      description: '0 always takes the most likely token',
      default: 1,
      group: sampling,
    },
    {
      name: 'top-k',
      type: 'integer',
      minimum: 1,
      description: 'sample among the N most likely tokens only',
      defaultText: 'all',
      group: sampling,
    },
    {
      name: 'top-p',
      type: 'number',
      minimum: 0,
      maximum: 1,
      description: 'sample among the most likely tokens that together have this probability',
      default: 1,
      group: sampling,
    },
    {
      name: 'seed',
      type: 'integer',
      minimum: 0,
      description: 'makes sampling repeatable',
      defaultText: 'a new one each time',
      group: sampling,
    },
    {
      name: 'stop',
      type: 'list',
      placeholder: 'TEXT',
      description: 'end before this text',
      group: sampling,
    },
    { ...jsonOption, description: 'print text, finish reason and token counts as one JSON line at the end' },
    ...engineOptions,
  ],
  examples: [
    {
      text: 'greedy continuation with the example model',
      command: 'subzero generate --model examples/reviews-3m --prompt "a film that" --temperature 0 --max-tokens 20',
    },
    {
      text: 'a prompt from a file',
      command: 'subzero generate --model runs/sst2 --prompt - --seed 1 < prompt.txt',
    },
  ],
  async run(context) {
    const { options } = context;
    const givenModel = requireOption(options.model, 'generate', 'model DIR|RUN');
    const given = requireOption(options.prompt, 'generate', 'prompt TEXT');
    const prompt = given === '-' ? await context.readStandardInput() : given;
    const path = await localPath(context, givenModel);
    const lora = await localAdapter(context, options.lora);
    return withEngine(context, async (engine) => {
      const request: GenerateRequest = {
        model: await loadOnlyModel(engine, path, { ...options, lora }),
        prompt,
        maxTokens: options.maxTokens,
        temperature: options.temperature,
        topP: options.topP,
        ...(options.topK === undefined ? {} : { topK: options.topK }),
        ...(options.seed === undefined ? {} : { seed: options.seed }),
        ...(options.stop.length === 0 ? {} : { stop: [...options.stop] }),
      };
      const notice = createProgress(context, options.quiet || options.json);
      const { result: last, exitCode } = await interruptible(
        context,
        () => {},
        async (signal) => {
          let done: Extract<GenerateEvent, { type: 'done' }> | undefined;
          for await (const event of engine.generate(request, signal)) {
            if (event.type === 'token' && !options.json) context.standardOutput.write(event.text);
            if (event.type === 'done') done = event;
          }
          return done;
        },
      );
      if (options.json && last) {
        const { type: _, endToken: __, ...result } = last;
        context.standardOutput.write(`${JSON.stringify(result)}\n`);
      } else {
        context.standardOutput.write('\n');
      }
      if (last?.finishReason === 'length' && context.sources.maxTokens === 'default' && !options.quiet) {
        notice.line(`(cut off at ${last.completionTokens} tokens; --max-tokens allows more)`);
      }
      return exitCode;
    });
  },
});
