import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Cell, ExperimentRequest, Finished } from '../../src/experiments/experiment.ts';
import { experiments } from '../../src/experiments/index.ts';
import { matrixKinds } from '../../src/experiments/matrices.ts';
import { removeTemporary, tinyModel } from '../train/tiny.ts';

const variance = experiments.variance!;
let request: ExperimentRequest;
beforeAll(() => {
  request = { model: tinyModel(), data: { file: 'd' }, seeds: [1, 2, 3], ranks: [4] };
});
afterAll(removeTemporary);

/** Results as theory has them for gradients of length 3, times what SubZero is given. */
async function finishedWith(cosine: number, moment: number): Promise<Finished[]> {
  const cells = (await variance.cells(request, [])) as Cell[];
  const kinds = [...(await matrixKinds(request.model)).values()];
  return cells.map((cell) => {
    const [one, two] = cell.optimizer === 'subzero' ? [cosine, moment] : [1, 1];
    // Seeds differ a little, so that there is an interval.
    const near = cell.optimizer === 'mezo' ? 1 : 1 + 0.01 * (Number(cell.seed) - 2);
    const square = 9;
    const [m, n] = kinds.find(({ names }) => names.includes(String(cell.matrix)))!.shape;
    const elements = m * n;
    // A mean of K directions is √K times as close, and its square K times as small.
    const together = cell.optimizer === 'subzero-plus' ? 1e9 : 1;
    const result = {
      directions: 1e9,
      square: square * one * near,
      cosine: (square * one * near * together) / elements,
      moment: (square * elements * two * near ** 2) / together,
    };
    return { cell, result, seconds: 1 };
  });
}

test('less angle error and variance are contradicted where neither is seen beyond its interval', async () => {
  const same = await variance.report(request, await finishedWith(1, 1));
  expect(same.lead).toMatch(
    /^Contradicts SubZero’s paper .* closer in 0 of 1 cases, and varies less for what it catches in 0,/,
  );
  const closer = await variance.report(request, await finishedWith(1.5, 1.5));
  expect(closer.lead).toMatch(
    /^One estimate of SubZero .* closer in 1 of 1 cases, and varies less for what it catches in 0,/,
  );
  const calmer = await variance.report(request, await finishedWith(1, 0.5));
  expect(calmer.lead).toMatch(/^One estimate of SubZero .* closer in 0 of 1 cases, and varies less for what .* in 1,/);
  // Subspaces that happen to catch less have shorter estimates, too.
  const unlucky = await variance.report(request, await finishedWith(0.8, 0.8));
  expect(unlucky.lead).toMatch(/^Contradicts .* closer in 0 of 1 cases, and varies less for what it catches in 0,/);
});

test('estimates are given in units of those of MeZO', async () => {
  const { sections } = await variance.report(request, await finishedWith(1.5, 2));
  const rows = new Map(sections[0]!.table!.rows.map((row) => [row[0], row]));
  // ±1 % over three seeds: t of two degrees 4.303 · 0.01/√3 = 0.0248.
  expect(rows.get('subzero, r 4')).toEqual([
    'subzero, r 4',
    '0',
    '3',
    '1.500 ± 0.037',
    '2.000 ± 0.099',
    '1.500 ± 0.037',
    '1.333 ± 0.033',
  ]);
  for (const optimizer of ['sparse-mezo', 'hizoo']) {
    expect(rows.get(optimizer)!.slice(3)).toEqual(['1.000 ± 0.025', '1.000 ± 0.050', '', '']);
  }
  expect(rows.get('subzero-plus, r 4')!.slice(3)).toEqual([
    '1.000 ± 0.025',
    '1.000 ± 0.050',
    '1.000 ± 0.025',
    '1.000 ± 0.025',
  ]);
  const [, , , length, cosine] = sections[1]!.table!.rows[0]!;
  expect([length, cosine]).toEqual(['3.000 ± 0.000', '1.50 ± 0.04']);
});
