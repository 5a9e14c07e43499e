import { expect, test } from 'vitest';
import type { Cell, ExperimentRequest, Finished } from '../../src/experiments/experiment.ts';
import { experiments } from '../../src/experiments/index.ts';
import type { TrainedCell } from '../../src/experiments/train-cell.ts';

const request: ExperimentRequest = {
  model: 'm',
  data: { file: 'd' },
  seeds: [1, 2, 3],
  optimizers: ['subzero', 'hizoo'],
};

const result = (accuracy: number | null, loss: number | null = 1): TrainedCell => ({
  ...{ accuracy, loss, steps: 300, passes: 600, trainSeconds: 1, failed: loss === null },
});

/** Finishes all cells there are, by a rule, until there are no more. */
async function finishAll(rule: (cell: Cell) => TrainedCell): Promise<Finished<TrainedCell>[]> {
  const finished: Finished<TrainedCell>[] = [];
  for (;;) {
    const cells = await experiments.methods!.cells(request, finished);
    const next = cells.find((cell) => !finished.some((each) => JSON.stringify(each.cell) === JSON.stringify(cell)));
    if (!next) return finished;
    finished.push({ cell: next, result: rule(next), seconds: 1 });
  }
}

test('every method gets the same search: three rates on the first seed, the best of them on all others', async () => {
  // The second rate is the best for SubZero, the first for HiZOO; the third diverges.
  const finished = await finishAll(({ optimizer, learningRate, seed }) => {
    if (learningRate === 2e-4) return result(null, null);
    const best = optimizer === 'subzero' ? 5e-5 : 1.25e-5;
    return result((learningRate === best ? 0.8 : 0.6) + 0.01 * Number(seed));
  });
  for (const optimizer of ['subzero', 'hizoo']) {
    const own = finished.filter(({ cell }) => cell.optimizer === optimizer);
    expect(own.filter(({ cell }) => cell.seed === 1)).toHaveLength(3);
    expect(own.filter(({ cell }) => cell.seed !== 1).map(({ cell }) => cell.learningRate)).toEqual(
      Array(2).fill(optimizer === 'subzero' ? 5e-5 : 1.25e-5),
    );
  }
  const report = await experiments.methods!.report(request, finished);
  const [row] = report.sections[0]!.table!.rows;
  // 0.81, 0.82, 0.83: mean 0.82, standard error 0.01/√3, t of two degrees 4.303.
  expect(row).toEqual(['subzero, full', '0.00005', '300', '3', '0.8200 ± 0.0248', '', '1']);
  expect(report.sections[0]!.table!.rows[1]![5]).toBe('0.0000 ± 0.0000');
});

test('unknown names are refused', () => {
  expect(() => experiments.methods!.cells({ ...request, optimizers: ['adamw'] }, [])).toThrow(/"adamw" is none of/);
});
