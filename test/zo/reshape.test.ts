/**
 * The matrix as which SubZero sees a tensor that a scheme adds: its change has the rank of the subspace in that view.
 */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { mostSquare } from '../../src/tuning/adapter.ts';
import { testSeed, withSeed } from '../support/random.ts';
import { withOptimizer } from '../support/zo/session.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await Gpu.open();
});
afterAll(() => gpu.close());

const virtualTokens = 6;

/** The largest 2 × 2 minor over the square of the largest element: 0 of rank one. */
function departure(matrix: Float64Array, [rows, columns]: readonly [number, number]): number {
  const largest = Math.max(...matrix.map(Math.abs));
  const at = (row: number, column: number) => matrix[row * columns + column]!;
  let most = 0;
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < i; k++) {
      for (let j = 0; j < columns; j++) {
        for (let l = 0; l < j; l++) most = Math.max(most, Math.abs(at(i, j) * at(k, l) - at(i, l) * at(k, j)));
      }
    }
  }
  return most / largest ** 2;
}

test.each([true, false])('a change of rank one, reshape %s', async (reshape) => {
  await withSeed(`reshape ${reshape}`, async () => {
    const subspace = { virtualTokens, rank: 1, refresh: 100, reshape };
    const settings = { model: 'llama-tiny', storage: 'f32', scheme: 'prompt', seed: testSeed, ...subspace } as const;
    await withOptimizer(gpu, settings, async ({ optimizer }) => {
      const start = await optimizer.adapterValues();
      await optimizer.replay([{ step: 0, learningRate: 1, projectedGradients: [1] }]);
      optimizer.beginStep(1);
      const [[name, values]] = [...(await optimizer.adapterValues())] as [[string, Float32Array]];
      const change = Float64Array.from(values, (value, index) => value - start.get(name)![index]!);
      const views = [mostSquare(values.length), [virtualTokens, values.length / virtualTokens]] as const;
      expect(views[0]).not.toEqual(views[1]);
      const [square, own] = views.map((view) => departure(change, view));
      expect(reshape ? square : own).toBeLessThan(1e-4);
      expect(reshape ? own : square).toBeGreaterThan(1e-2);
    });
  });
});
