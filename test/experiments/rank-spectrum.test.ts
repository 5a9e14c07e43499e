import { afterAll, expect, test } from 'vitest';
import type { ExperimentRequest, Finished } from '../../src/experiments/experiment.ts';
import { experiments } from '../../src/experiments/index.ts';
import { removeTemporary, tinyModel } from '../train/tiny.ts';

const rankSpectrum = experiments['rank-spectrum']!;
afterAll(removeTemporary);

/** The first line of a report whose matrices named "flat" have equal singular values and the others one alone. */
async function leadOf(matrices: readonly string[], seeds: readonly number[]): Promise<string> {
  const request: ExperimentRequest = { model: tinyModel(), data: { file: 'd' }, seeds: [...seeds], ranks: [4] };
  const finished = matrices.flatMap((matrix) =>
    seeds.map((seed): Finished => {
      // Seeds differ a little, so that there is an interval.
      const small = matrix.includes('flat') ? 1 : 0.1 + 0.01 * seed;
      const result = { singularValues: [1, small, small, small], explained: 1, directions: 18 };
      return { cell: { seed, matrix, rank: 4, stage: 0 }, result, seconds: 1 };
    }),
  );
  return (await rankSpectrum.report(request, finished)).lead;
}

test('the first line says which gradients are not told from what has no structure', async () => {
  const [low, flat] = ['model.layers.0.q_proj.weight', 'model.layers.0.flat.weight'];
  expect(await leadOf([low, `${low}2`], [1, 2, 3])).toMatch(
    /^Gradients are of lower rank .* 2 of 2 cases, beyond .*ls\. Se/,
  );
  expect(await leadOf([low, flat], [1, 2, 3])).toMatch(
    / in 1 of 2 cases, .* intervals, but not in layers\.0\.flat\. Se/,
  );
  const many = Array.from({ length: 6 }, (_, layer) => `model.layers.${layer}.flat.weight`);
  expect(await leadOf([low, ...many], [1, 2, 3])).toMatch(/ in 1 of 7 cases, .*layers\.3\.flat and 2 more\. Seen/);
  expect(await leadOf([low], [1])).toMatch(/^One seed does not tell/);
});

test('directions that do not determine a subspace are refused, by the rank that the matrices leave', async () => {
  const request = { model: tinyModel(), data: { file: 'd' }, seeds: [1], ranks: [4] };
  await expect(async () => rankSpectrum.cells({ ...request, steps: 15 }, [])).rejects.toThrow(
    '15 directions do not determine the 16 numbers of a subspace of rank 4; give 18 steps, or a lower rank',
  );
  expect(await rankSpectrum.cells({ ...request, steps: 16 }, [])).not.toHaveLength(0);
  const clipped = await rankSpectrum.cells({ ...request, ranks: [1000] }, []);
  const highest = Math.max(...clipped.map(({ rank }) => Number(rank)));
  expect(highest).toBeLessThan(1000);
  const enough = { ...request, ranks: [1000], steps: highest ** 2 };
  expect(await rankSpectrum.cells(enough, [])).toHaveLength(clipped.length);
});
