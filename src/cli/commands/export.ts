import { defineCommand } from '../command.ts';
import { engineOptions, jsonOption } from '../common-options.ts';
import { stepOption } from '../model-option.ts';
import { requireOption } from '../require-option.ts';
import { withEngine } from '../with-engine.ts';

export const exportCommand = defineCommand({
  name: 'export',
  summary: 'Write the model of a run for other programs',
  usage: ['export --run RUN --out DIR [options]'],
  options: [
    { name: 'run', type: 'text', placeholder: 'RUN', description: 'run folder to export' },
    { name: 'out', type: 'text', placeholder: 'DIR', description: 'folder to write' },
    {
      name: 'format',
      type: 'text',
      placeholder: 'NAME',
      choices: ['safetensors', 'peft'],
      default: 'safetensors',
      description:
        'a whole model directory, or an adapter for the base model (of full tuning exact within one refresh period)',
    },
    stepOption,
    { ...jsonOption, description: 'print the files written as one JSON line' },
    ...engineOptions,
  ],
  examples: [
    { text: 'a model directory that transformers loads', command: 'subzero export --run runs/sst2 --out tuned' },
    { text: 'a PEFT adapter', command: 'subzero export --run runs/sst2 --format peft --step 100 --out adapter' },
  ],
  async run(context) {
    const { options } = context;
    const run = requireOption(options.run, 'export', 'run RUN');
    const out = requireOption(options.out, 'export', 'out DIR');
    return withEngine(context, async (engine) => {
      const { format, step } = options;
      const files = await engine.exportRun({ run, format, out, ...(step === undefined ? {} : { step }) });
      context.standardOutput.write(options.json ? `${JSON.stringify({ files })}\n` : `${files.join('\n')}\n`);
      return 0;
    });
  },
});
