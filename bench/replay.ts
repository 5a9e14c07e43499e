/**
 * `bench replay`: how fast a journal is turned back into weights, on the example model.
 *
 * @module
 */

import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Gpu } from '../src/gpu/gpu.ts';
import { loadModel } from '../src/model/load.ts';
import { resolveConfiguration, type TrainConfiguration } from '../src/settings/configuration.ts';
import { methods, type OptimizerName } from '../src/settings/methods.ts';
import { createOptimizer } from '../src/zo/create-optimizer.ts';

export const usage = `npm run bench -- replay [options]
  --optimizer NAME     default subzero
  --mezo-update NAME   of mezo: sgd, momentum or adam (default sgd)
  --steps N            default 2000
  --refresh F          default 100
  --rank R             default 8`;

export async function benchReplay(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      optimizer: { type: 'string', default: 'subzero' },
      'mezo-update': { type: 'string', default: 'sgd' },
      steps: { type: 'string', default: '2000' },
      refresh: { type: 'string', default: '100' },
      rank: { type: 'string', default: '8' },
    },
  });
  const count = Number(values.steps);
  const gpu = await Gpu.open();
  const model = await loadModel(gpu, fileURLToPath(new URL('../examples/reviews-3m', import.meta.url)));
  const configuration = resolveConfiguration({
    optimizer: values.optimizer as OptimizerName,
    mezoUpdate: values['mezo-update'] as TrainConfiguration['mezoUpdate'],
    queries: 1,
    rank: Number(values.rank),
    refresh: Number(values.refresh),
    steps: count,
  });
  const optimizer = await createOptimizer(model, configuration);
  const steps = Array.from({ length: count }, (_, step) => ({
    step,
    learningRate: Math.fround(5e-5),
    projectedGradients: [Math.fround(Math.sin(step))],
    ...Object.fromEntries((methods[configuration.optimizer].records ?? []).map((field) => [field, [1]])),
  }));
  // The first step compiles the kernels.
  await optimizer.replay(steps.slice(0, 1));
  const started = performance.now();
  await optimizer.replay(steps.slice(1));
  const seconds = (performance.now() - started) / 1000;
  const refreshes =
    methods[configuration.optimizer].family !== 'dense' ? ` with a renewal every ${values.refresh}` : '';
  console.log(
    `${gpu.adapter.description}\n${values.optimizer}, ${count - 1} steps${refreshes}: ${seconds.toFixed(2)} s, ` +
      `${((count - 1) / seconds).toFixed(0)} steps/s`,
  );
  gpu.close();
  return 0;
}
