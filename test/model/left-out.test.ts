/** Checkpoints that hold what their config.json leaves out. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadModel } from '../../src/model/load.ts';
import { withSeed } from '../support/random.ts';
import { writeRandomModel } from '../support/zo/random-model.ts';

test('biases that config.json switches off are named, and nothing is loaded', () =>
  withSeed('left out', async (random) => {
    const model = await writeRandomModel(random, { attention_bias: true });
    try {
      const file = join(model.directory, 'config.json');
      const config = JSON.parse(await readFile(file, 'utf8'));
      await writeFile(file, JSON.stringify({ ...config, attention_bias: false }));
      // Found before the GPU is asked for anything.
      await expect(loadModel(undefined as never, model.directory)).rejects.toMatchObject({
        code: 'invalid_data',
        message: expect.stringMatching(
          /the weights have \d+ tensors that config\.json leaves out: model\.layers\.0\.self_attn\.q_proj\.bias, .*"attention_bias"/,
        ),
      });
    } finally {
      await model.remove();
    }
  }));
