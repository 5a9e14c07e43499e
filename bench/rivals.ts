/**
 * `bench rivals`: our SubZero step beside PyTorch's eager loop, and our generation beside llama.cpp's on the same
 * adapter.
 *
 * @module
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SubzeroError } from '../src/errors.ts';
import { deviceOf } from './device.ts';
import { compareGeneration } from './rivals/generation.ts';
import { compareTraining } from './rivals/training.ts';

export const usage = `npm run bench -- rivals [options]
  --model DIRECTORY    a Llama-like model, for training (default examples/reviews-3m)
  --batch-size B       sentences of the example data (default 16)
  --rank R             default 8
  --gguf FILE          a model for generation, which llama.cpp reads too; without it only training is compared
  --prompt TEXT        default "Once upon a time there was a little"
  --tokens N           most tokens generated (default 64)
  --repeat N           timed steps and texts of each, in turns (default 15)
  --adapter NAME       part of the adapter's name, or its index
  --json FILE          write the figures
PYTHON names an interpreter that has torch and transformers (default python3); for llama.cpp, first
npm install --prefix bench/rivals`;

const root = fileURLToPath(new URL('..', import.meta.url));

/** Exit code 1 where a rival is not installed. */
export async function benchRivals(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: 'string', default: join(root, 'examples', 'reviews-3m') },
      'batch-size': { type: 'string', default: '16' },
      rank: { type: 'string', default: '8' },
      gguf: { type: 'string' },
      prompt: { type: 'string', default: 'Once upon a time there was a little' },
      tokens: { type: 'string', default: '64' },
      repeat: { type: 'string', default: '15' },
      adapter: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const [batchSize, rank, tokens, repeat] = [values['batch-size'], values.rank, values.tokens, values.repeat].map(
    Number,
  ) as [...[number, number, number, number]];
  if (![batchSize, rank, tokens, repeat].every((count) => Number.isInteger(count) && count >= 1)) {
    throw new SubzeroError(
      'invalid_argument',
      '--batch-size, --rank, --tokens and --repeat must be whole numbers from 1',
    );
  }
  const command = `npm run bench -- rivals${args.length > 0 ? ` ${args.join(' ')}` : ''}`;
  const device = deviceOf(values);
  const { model, gguf, prompt } = values;
  const training = await compareTraining(command, { model, batchSize, rank, repeat, device });
  const generation =
    gguf === undefined ? null : await compareGeneration(command, { file: gguf, prompt, tokens, repeat, device });
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ training, generation }, null, 2)}\n`);
  return training && generation !== undefined ? 0 : 1;
}
