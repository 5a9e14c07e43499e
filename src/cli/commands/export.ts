import { blocksWritten } from '../../weights/write-blocks.ts';
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
    { name: 'out', type: 'text', placeholder: 'DIR', description: 'folder to write, or the path of a .gguf file' },
    {
      name: 'format',
      type: 'text',
      placeholder: 'NAME',
      choices: ['safetensors', 'peft', 'gguf', 'gguf-lora'],
      default: 'safetensors',
      description:
        'a whole model (a directory, or a GGUF file), or an adapter for the base model (of full tuning exact within ' +
        'one refresh period, or with a bank)',
    },
    {
      name: 'storage',
      type: 'text',
      placeholder: 'TYPE',
      choices: ['f32', 'f16', ...blocksWritten],
      default: 'f16',
      description: 'what the matrices of a GGUF model are written as',
    },
    stepOption,
    { ...jsonOption, description: 'print the files written as one JSON line' },
    ...engineOptions,
  ],
  examples: [
    { text: 'a model directory that transformers loads', command: 'subzero export --run runs/sst2 --out tuned' },
    {
      text: 'a file for llama.cpp',
      command: 'subzero export --run runs/sst2 --format gguf --storage q8 --out tuned.gguf',
    },
    { text: 'a PEFT adapter', command: 'subzero export --run runs/sst2 --format peft --step 100 --out adapter' },
  ],
  async run(context) {
    const { options } = context;
    const run = requireOption(options.run, 'export', 'run RUN');
    const out = requireOption(options.out, 'export', 'out DIR');
    return withEngine(context, async (engine) => {
      const { format, step, storage } = options;
      const files = await engine.exportRun({
        ...{ run, format, out },
        ...(format === 'gguf' ? { storage } : {}),
        ...(step === undefined ? {} : { step }),
      });
      context.standardOutput.write(options.json ? `${JSON.stringify({ files })}\n` : `${files.join('\n')}\n`);
      return 0;
    });
  },
});
