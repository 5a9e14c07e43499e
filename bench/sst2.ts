/**
 * `bench sst2`: SubZero on the example model and data over several seeds, held against the PyTorch reference run.
 *
 * @module
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { LocalEngine } from '../src/engine/local.ts';
import type { DataSource } from '../src/engine/types.ts';
import type { OptimizerName } from '../src/train/configuration.ts';
import { table } from './table.ts';

export const usage = `node bench/main.ts sst2 [options]
  --seeds N            how many (default 5)
  --first-seed S       default 0
  --steps N            default 300
  --optimizer NAME     default subzero
  --learning-rate η    default 5e-5
  --json FILE          write the figures`;

/** Dev accuracy after 300 steps with the same settings in PyTorch, three seeds (its random numbers are others). */
const reference = [0.767, 0.744, 0.745];

const commonSettings = { epsilon: 1e-3, rank: 8, refresh: 100, batchSize: 16 };

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard error of the mean. */
function standardError(values: readonly number[]): number {
  const centre = mean(values);
  const variance = values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1);
  return Math.sqrt(variance / values.length);
}

/** Exit code 1 when the mean is below the reference's by more than both standard errors together. */
export async function benchSst2(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string', default: '5' },
      'first-seed': { type: 'string', default: '0' },
      steps: { type: 'string', default: '300' },
      optimizer: { type: 'string', default: 'subzero' },
      'learning-rate': { type: 'string', default: '5e-5' },
      json: { type: 'string' },
    },
  });
  const settings = {
    ...commonSettings,
    optimizer: values.optimizer as OptimizerName,
    learningRate: Number(values['learning-rate']),
  };
  const examples = fileURLToPath(new URL('../examples/', import.meta.url));
  const model = join(examples, 'reviews-3m');
  const data: DataSource = { task: 'sst2', directory: join(examples, 'sst2') };
  const folder = mkdtempSync(join(tmpdir(), 'subzero-sst2-'));
  const engine = await LocalEngine.open();
  const { adapter } = await engine.info();
  const runs: { seed: number; accuracy: number; loss: number; seconds: number }[] = [];
  try {
    const first = Number(values['first-seed']);
    for (let seed = first; seed < first + Number(values.seeds); seed++) {
      const out = join(folder, `seed-${seed}`);
      const configuration = { ...settings, seed, steps: Number(values.steps) };
      let seconds = 0;
      // Validation on the task's own split is not needed here; the dev sentences are scored at the end.
      for await (const event of engine.train({ model, data, configuration, out })) {
        if (event.type === 'step' && event.step % 50 === 0) {
          console.error(`seed ${seed}: step ${event.step}, loss ${event.loss.toFixed(4)}`);
        }
        if (event.type === 'done') seconds = event.seconds;
      }
      await engine.loadModel({ id: 'tuned', path: out });
      const { accuracy, loss } = await engine.evaluate({ model: 'tuned', data });
      await engine.unloadModel('tuned');
      runs.push({ seed, accuracy: accuracy!, loss, seconds });
      console.error(`seed ${seed}: dev accuracy ${accuracy!.toFixed(4)}, loss ${loss.toFixed(4)}`);
    }
  } finally {
    await engine.close();
    rmSync(folder, { recursive: true, force: true });
  }
  const accuracies = runs.map(({ accuracy }) => accuracy);
  const ours = { mean: mean(accuracies), standardError: runs.length > 1 ? standardError(accuracies) : Number.NaN };
  const theirs = { mean: mean(reference), standardError: standardError(reference) };
  console.log(adapter.description || adapter.device);
  console.log(
    table(
      ['run', 'dev accuracy', 'dev loss'],
      [
        ...runs.map(({ seed, accuracy, loss }) => [`seed ${seed}`, accuracy.toFixed(4), loss.toFixed(4)]),
        [
          'mean ± standard error',
          `${ours.mean.toFixed(4)} ± ${ours.standardError.toFixed(4)}`,
          mean(runs.map(({ loss }) => loss)).toFixed(4),
        ],
        ['PyTorch reference, 3 seeds', `${theirs.mean.toFixed(4)} ± ${theirs.standardError.toFixed(4)}`, ''],
      ],
    ),
  );
  if (values.json) {
    writeFileSync(
      values.json,
      `${JSON.stringify({ adapter: adapter.description, settings, runs, ours, reference: theirs }, null, 2)}\n`,
    );
  }
  const allowed = Math.hypot(ours.standardError || 0, theirs.standardError);
  return ours.mean < theirs.mean - allowed ? 1 : 0;
}
