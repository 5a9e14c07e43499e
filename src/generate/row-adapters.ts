/**
 * The adapters of texts that share a pass.
 *
 * @module
 */

import type { Probes } from '../ops/probes.ts';
import type { NamedBuffers } from '../tensor/named-buffers.ts';
import type { AppliedAdapter } from '../tuning/applied-adapter.ts';

/** An adapter of a text, and the factor on its change. */
export interface WeightedAdapter {
  adapter: Pick<AppliedAdapter, 'number' | 'probes'>;
  weight: number;
}

/** What a text is generated with, beside the weights that all texts of a generator share. */
export interface TextModel {
  adapters: readonly WeightedAdapter[];
  /** Which of the generator's probes it is a text of; the first by default. */
  probe?: number;
  /** Aborted when a loaded model that the text is made with is unloaded. */
  users: readonly AbortSignal[];
}

/**
 * The adapters of the rows of a pass, as its probes have them; nothing where no row has one. They are added to a row in
 * the order in which they were loaded, whoever shares the pass.
 *
 * @param models of each row
 * @param labelRows numbers of the rows that the pass ends with
 */
export function rowAdapters(
  models: readonly TextModel[],
  labelRows: readonly number[],
  buffers: NamedBuffers,
): Pick<Probes, 'rowAdapters'> {
  const used = new Set(models.flatMap(({ adapters }) => adapters.map(({ adapter }) => adapter)));
  if (used.size === 0) return {};
  const adapters = [...used].sort((one, other) => one.number - other.number);
  const table = (name: string, rows: readonly TextModel[]) => {
    const factors = new Float32Array(adapters.length * rows.length);
    for (const [row, model] of rows.entries()) {
      for (const { adapter, weight } of model.adapters) factors[adapters.indexOf(adapter) * rows.length + row] = weight;
    }
    return buffers.upload(name, factors);
  };
  return {
    rowAdapters: {
      adapters: adapters.map(({ probes }) => probes),
      factors: table('factors', models),
      labelFactors: table(
        'label factors',
        labelRows.map((row) => models[row]!),
      ),
    },
  };
}
