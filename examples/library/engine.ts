/**
 * Trains a model for a few steps and generates text with the result.
 *
 * Run: `node engine.ts [MODEL]` (or bun, or deno run --allow-all), with `subzero-webgpu` installed.
 */

import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openEngine, SubzeroError } from 'subzero-webgpu';

const model = process.argv[2] ?? 'node_modules/subzero-webgpu/examples/reviews-3m';
const folder = await mkdtemp('engine-example-');

const rows = [
  { prompt: 'a charming and moving film . It was', completion: ' great' },
  { prompt: 'a dull and lifeless film . It was', completion: ' terrible' },
];
const file = join(folder, 'train.jsonl');
await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

// A thread of its own owns the GPU, so this one stays free.
const engine = await openEngine();
try {
  const out = join(folder, 'run');
  const configuration = { steps: 4, batchSize: 2, learningRate: 2e-4, rank: 8, seed: 1 };
  for await (const event of engine.train({ model, data: { file }, configuration, out })) {
    if (event.type === 'step') console.log(`step ${event.step}: loss ${event.loss.toFixed(4)}`);
  }

  // A run folder loads like a model: base weights and the journal of its steps.
  await engine.loadModel({ id: 'tuned', path: out });
  let text = '';
  for await (const event of engine.generate({ model: 'tuned', prompt: 'The film', maxTokens: 8, temperature: 0 })) {
    if (event.type === 'token') text += event.text;
  }
  console.log(`The film${text}`);

  await engine.loadModel({ id: 'none', path: 'no/such/folder' }).catch((error) => {
    if (error instanceof SubzeroError && error.code === 'not_found') console.log('errors have a code: not_found');
  });
} finally {
  await engine.close();
}
