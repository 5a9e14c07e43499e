import { plural } from '../../format.ts';
import type { TensorError } from '../../train/quantize.ts';
import { blocksWritten } from '../../weights/write-blocks.ts';
import { defineCommand } from '../command.ts';
import { configOption, jsonOption, quietOption } from '../common-options.ts';
import { localPath, offlineOption } from '../hub-option.ts';
import { modelOption } from '../model-option.ts';
import { requireOption } from '../require-option.ts';

export const quantizeCommand = defineCommand({
  name: 'quantize',
  summary: 'Write a model with its matrices in 8 or 4 bits',
  usage: ['quantize MODEL OUT --storage q8|q4 [options]'],
  details: [
    'Matrices become codes with a scale for 32 of them, rounded to the nearest, as --storage does when a model is ' +
      'loaded; those whose rows are no whole groups have 16 bits. Prints the error of each tensor.',
    'The result loads like any model. Other programs read gguf (Q8_0 or Q4_0); safetensors have a layout of our own.',
  ],
  operands: ['model', 'out'],
  options: [
    {
      ...modelOption,
      placeholder: 'DIR',
      description: 'model directory, GGUF file, or ORG/NAME[@REVISION] on the Hugging Face Hub',
    },
    { name: 'out', type: 'text', placeholder: 'DIR', description: 'folder to write, or the path of a .gguf file' },
    {
      name: 'storage',
      type: 'text',
      placeholder: 'TYPE',
      choices: [...blocksWritten, 'f16'],
      default: 'q8',
      description: 'what matrices are written as',
    },
    {
      name: 'format',
      type: 'text',
      placeholder: 'NAME',
      choices: ['safetensors', 'gguf'],
      default: 'safetensors',
      description: 'files to write',
    },
    offlineOption,
    { ...jsonOption, description: 'print files and errors as one JSON line' },
    quietOption,
    configOption,
  ],
  examples: [
    { text: 'half of the bytes', command: 'subzero quantize examples/reviews-3m reviews-q8 --storage q8' },
    { text: 'for llama.cpp', command: 'subzero quantize org/name name-q4_0.gguf --storage q4 --format gguf' },
  ],
  async run(context) {
    const { options } = context;
    const model = await localPath(context, requireOption(options.model, 'quantize', 'model DIR'));
    const out = requireOption(options.out, 'quantize', 'out DIR');
    const { quantizeModel } = await import('../../train/quantize.ts');
    const { files, tensors } = await quantizeModel({ ...options, model, out });
    if (options.json) {
      context.standardOutput.write(`${JSON.stringify({ files, tensors })}\n`);
      return 0;
    }
    if (!options.quiet) context.standardError.write(`${errorLines(tensors).join('\n')}\n`);
    context.standardOutput.write(`${files.join('\n')}\n`);
    return 0;
  },
});

/** The error of each tensor that was rounded, and the worst. */
export function errorLines(tensors: readonly TensorError[]): string[] {
  const matrices = tensors.filter(({ shape }) => shape.length > 1);
  const width = Math.max(0, ...matrices.map(({ name }) => name.length));
  const percent = (error: number): string => `${(100 * error).toFixed(3)} %`;
  const worst = Math.max(0, ...matrices.map(({ relativeError }) => relativeError));
  return [
    ...matrices.map(
      ({ name, type, relativeError }) =>
        `${name.padEnd(width)}  ${type.padEnd(4)}  ${percent(relativeError).padStart(9)}`,
    ),
    `the largest error of ${plural(matrices.length, 'tensor')} is ${percent(worst)} of the tensor's norm`,
  ];
}
