import { defineExperiment, type Finished } from './experiment.ts';
import { grouped, scores, scoresOfSeeds } from './groups.ts';
import { plotSvg } from './plot.ts';
import { interval, pairedDifference, summary } from './statistics.ts';
import { scoreName, type TrainedCell, trainCell } from './train-cell.ts';

const steps = 300;

/** How often SubZero should draw new subspaces: an open question of the paper (arXiv 2410.08989). */
export const refresh = defineExperiment<TrainedCell>({
  title: 'How long should a subspace be kept?',
  question: 'How does the period F, after which SubZero draws new factors U and V, change what training reaches?',
  method:
    'Each cell trains the whole model with SubZero and evaluates it after the last step. Cells differ in F, rank and ' +
    'seed alone. A period longer than the run keeps one subspace for all of it. Intervals are 95 % by Student’s t ' +
    'over ' +
    'the seeds; differences are paired by seed.',
  reads: ['steps', 'ranks', 'refreshes', 'learningRates', 'limit'],
  cells: ({ seeds, ranks = [8], refreshes = [1, 10, 50, 100, 300], learningRates = [5e-5] }) =>
    seeds.flatMap((seed) =>
      ranks.flatMap((rank) =>
        refreshes.flatMap((every) =>
          learningRates.map((learningRate) => ({ seed, rank, refresh: every, learningRate })),
        ),
      ),
    ),
  measure: (laboratory, { seed, rank, refresh: every, learningRate }) =>
    trainCell(laboratory, {
      ...{ seed: Number(seed), rank: Number(rank), refresh: Number(every), learningRate: Number(learningRate) },
      steps: laboratory.request.steps ?? steps,
    }),
  report({ steps: given = steps }, finished) {
    const name = scoreName(finished.map(({ result }) => result));
    const groups = grouped(finished, ({ rank, learningRate }) => `rank ${rank}, η ${learningRate}`);
    const rows = [...groups].flatMap(([group, cells]) => {
      const byPeriod = [...grouped(cells, ({ refresh: every }) => String(every))];
      const best = byPeriod.reduce((a, b) => (meanScore(b[1]) > meanScore(a[1]) ? b : a));
      return byPeriod.map(([every, own]) => [
        group,
        every,
        String(own.length),
        interval(summary(scores(own))),
        every === best[0] ? 'best' : interval(pairedDifference(scores(own), scoresOfSeeds(best[1], own))),
      ]);
    });
    const overall = [...grouped(finished, ({ refresh: every }) => String(every))].map(
      ([every, cells]) => [every, summary(scores(cells))] as const,
    );
    const [winner, reached] = overall.reduce((a, b) => (b[1].mean > a[1].mean ? b : a));
    const [loser, least] = overall.reduce((a, b) => (b[1].mean < a[1].mean ? b : a));
    const spread = pairedDifference(
      scores(finished.filter(({ cell }) => String(cell.refresh) === winner)),
      scores(finished.filter(({ cell }) => String(cell.refresh) === loser)),
    );
    const clear = spread.mean - spread.halfWidth95 > 0;
    return {
      lead:
        (winner === loser
          ? `After ${given} steps every F reaches the same mean ${name}, ${interval(reached)}. `
          : `After ${given} steps F = ${winner} reaches the highest mean ${name}, ${interval(reached)}; F = ` +
            `${loser} the ` +
            `lowest, ${interval(least)}. `) +
        (clear
          ? 'The difference between these two is larger than its 95 % interval.'
          : 'The difference is within its 95 % interval: these seeds do not show that the period matters.'),
      sections: [
        {
          title: `${name} by period`,
          plot: {
            name: 'refresh.svg',
            describes: `${name} over the refresh period`,
            svg: plotSvg({
              title: `After ${given} steps`,
              xTitle: 'steps that a subspace is kept (F)',
              yTitle: name,
              xLogarithmic: true,
              series: [...groups].map(([group, cells]) => ({
                name: group,
                points: [...grouped(cells, ({ refresh: every }) => String(every))].map(([every, own]) => {
                  const { mean, halfWidth95 } = summary(scores(own));
                  return { x: Number(every), y: mean, ...(Number.isNaN(halfWidth95) ? {} : { error: halfWidth95 }) };
                }),
              })),
            }),
          },
          table: { header: ['group', 'F', 'seeds', name, 'against the best of the group'], rows },
        },
      ],
    };
  },
});

function meanScore(finished: readonly Finished<TrainedCell>[]): number {
  return summary(scores(finished)).mean;
}
