import { expect, test } from 'vitest';
import type { Cell, ExperimentRequest, Finished } from '../../src/experiments/experiment.ts';
import { experiments } from '../../src/experiments/index.ts';
import type { TrainedCell } from '../../src/experiments/train-cell.ts';

const refresh = experiments.refresh!;
const request: ExperimentRequest = {
  ...{ model: 'm', data: { file: 'd' }, seeds: [1, 2, 3, 4, 5], steps: 100, refreshes: [1, 10, 100] },
};

async function reportOf(lossOf: (every: number, seed: number) => number | null, own: Partial<ExperimentRequest> = {}) {
  const cells = (await refresh.cells({ ...request, ...own }, [])) as Cell[];
  const finished: Finished<TrainedCell>[] = cells.map((cell) => {
    const loss = lossOf(Number(cell.refresh), Number(cell.seed));
    const result = { loss, accuracy: 0.5, steps: 100, passes: 200, trainSeconds: 1, failed: loss === null };
    return { cell, result, seconds: 1 };
  });
  return refresh.report({ ...request, ...own }, finished);
}

test('recommends the period of the lowest loss, and says which others the seeds tell apart', async () => {
  // F = 1 is worse by 0.1 with every seed, F = 10 by luck: seeds say now this, now that.
  const { lead, sections } = await reportOf((every, seed) => {
    const luck = 0.05 * seed;
    if (every === 1) return 0.6 + luck + 0.001 * seed;
    return every === 10 ? 0.5 + luck + (seed % 2 === 0 ? 0.02 : -0.01) : 0.5 + luck;
  });
  // 0.55 to 0.75: 0.65 with 2.776 · 0.0791/√5.
  expect(lead).toMatch(
    /^After 100 steps: rank 8, η 0.00005: F = 100 \(∞\) has the lowest mean loss \(0.6500 ± 0.0981\); 5 seeds show F = 1 to be worse and do not tell 10 apart from it, while ten times the period changes the loss by -0.0515 ± 0.0010: longer periods are better\.$/,
  );
  const { rows } = sections[0]!.table!;
  expect(rows.map(([, every]) => every)).toEqual(['1', '10', '100 (∞)']);
  // 0.101 to 0.105: 0.103 with 2.776 · 0.00158/√5.
  expect(rows[0]![4]).toBe('0.1030 ± 0.0020');
  expect(rows[2]![4]).toBe('best');
});

test('does not choose between periods that seeds do not tell apart, nor by one seed', async () => {
  const alike = await reportOf((every, seed) => 0.5 + 0.01 * ((seed * every) % 3));
  expect(alike.lead).toContain('5 seeds tell no other F apart from it');
  const one = await reportOf((every) => 1 / every, { seeds: [1] });
  expect(one.lead).toContain('one seed says nothing of how sure that is');
});

test('counts all pairs, of which the best period was chosen', async () => {
  // F = 10 is worse by a Student's t of 3.75 with five seeds, p = 0.02; F = 1 by luck alone.
  const { lead, sections } = await reportOf((every, seed) => {
    if (every === 1) return 0.501 + [0, 0.05, -0.05, 0.05, -0.05][seed - 1]!;
    return every === 10 ? 0.5 + 0.013258 + 0.005 * (seed - 3) : 0.5;
  });
  expect(lead).toContain('5 seeds tell no other F apart from it (1, 10)');
  // Three times 0.0199.
  expect(sections[0]!.table!.rows[1]![5]).toBe('0.060');
});

test('a run that failed is no reason to choose its period, and stages are groups of their own', async () => {
  const { lead } = await reportOf((every) => (every === 1 ? null : 1 / every), { stages: [0, 50] });
  expect(lead).toContain('rank 8, η 0.00005, from step 0: F = 100 (∞)');
  expect(lead).toContain('rank 8, η 0.00005, from step 50: F = 100 (∞)');
});

test('many groups are counted, and told one by one below', async () => {
  const ranks = [4, 8, 16];
  const { lead, sections } = await reportOf((every, seed) => 0.5 + 0.01 * seed - (every === 10 ? 0.1 : 0), { ranks });
  expect(lead).toBe(
    'After 100 steps, the seeds show an F to be worse than the best one in 3 of 3 groups (rank 4, η 0.00005; ' +
      'rank 8, η 0.00005; rank 16, η 0.00005), and a trend over F in 0 of 3 groups; ' +
      'the lowest mean loss has F = 10 in 3.',
  );
  const lines = sections[0]!.text!.split('\n');
  expect(lines).toHaveLength(3);
  expect(lines[1]).toMatch(
    /^- rank 8, η 0.00005: F = 10 has the lowest mean loss .* 5 seeds show F = 1, 100 \(∞\) to be/,
  );
});
