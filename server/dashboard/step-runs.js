/**
 * The table of step runs, which people drive from programs of their own; here they are only looked at.
 *
 * @module
 */

import { find, make } from './page.js';

const section = find('step-runs', HTMLElement);
const rows = find('step-run-rows', HTMLTableSectionElement);

/**
 * @param {any[]} runs
 */
export function showStepRuns(runs) {
  section.hidden = runs.length === 0;
  const key = JSON.stringify(runs);
  if (rows.dataset.key === key) return;
  rows.dataset.key = key;
  rows.replaceChildren(
    ...runs.map(({ id, model, step, hyperparameters, created_at }) => {
      const steps = `${step.toLocaleString('en')} of ${hyperparameters.steps.toLocaleString('en')}`;
      const begun = make(
        'time',
        { datetime: new Date(created_at * 1000).toISOString() },
        new Date(created_at * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }),
      );
      const cells = [model, hyperparameters.optimizer, steps, begun];
      return make('tr', {}, make('th', { scope: 'row' }, id), ...cells.map((cell) => make('td', {}, cell)));
    }),
  );
}
