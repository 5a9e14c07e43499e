/**
 * The table of models.
 *
 * @module
 */

import { find, formatBytes, formatCount, make, reasonOf } from './page.js';
import { call } from './service.js';

const rows = find('model-rows', HTMLTableSectionElement);
const showCheckpoints = find('show-checkpoints', HTMLInputElement);

/**
 * @param {any[]} models
 * @param {{report: (problem: string) => void, changed: () => void}} listeners
 */
export function showModels(models, { report, changed }) {
  showCheckpoints.onchange = () => showModels(models, { report, changed });
  const shown = models.filter(({ id }) => showCheckpoints.checked || !id.includes(':ckpt-step-'));
  const key = JSON.stringify(shown);
  if (rows.dataset.key === key) return;
  rows.dataset.key = key;
  rows.replaceChildren(
    ...shown.map((model) => {
      const cells = [
        model.parameter_count === null ? '' : formatCount(model.parameter_count),
        model.context_length === null ? '' : model.context_length.toLocaleString('en'),
        model.loaded ? 'in memory' : 'on disk',
        weightsOf(model),
      ];
      const row = make(
        'tr',
        {},
        make('th', { scope: 'row' }, model.id),
        make('td', { class: 'name' }, model.parent ?? '–'),
        ...cells.map((text) => make('td', {}, text)),
      );
      const action = make('td', {});
      if (model.parent !== null) {
        const button = make(
          'button',
          { type: 'button', class: 'danger', 'aria-label': `Delete ${model.id}` },
          'Delete',
        );
        button.addEventListener('click', async () => {
          if (!confirm(`Delete ${model.id}?`)) return;
          await call('deleteModel', { id: model.id }).catch((error) => report(reasonOf(error)));
          changed();
        });
        action.append(button);
      }
      row.append(action);
      return row;
    }),
  );
}

/**
 * What a model's weights take, or whose they are.
 * @param {any} model
 */
function weightsOf({ weight_bytes, parent, shares_weights_with }) {
  if (weight_bytes === null) return '';
  const shared = parent !== null && shares_weights_with.length > 0;
  return shared ? `${formatBytes(weight_bytes)}, shared` : formatBytes(weight_bytes);
}
