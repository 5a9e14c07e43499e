/**
 * Rows with columns of other names, as rows of the formats: which column is which field, prompts from a template,
 * words for labels.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { parameter, words } from '../words.ts';
import { contradictions, formats } from './formats.ts';
import { labelField, makeRow, type Row } from './row.ts';
import { missingColumn, parseTextTemplate } from './text-template.ts';

/** How the columns of a file are to be read; nothing of it by default. */
export interface ColumnChoice {
  /** `field=column`, one or several with commas between them. */
  columns: readonly string[];
  /** The prompt, with `{column}` where one goes; empty for none. */
  template: string;
  /** `label=word`, one or several with commas between them: what the column `label` holds, and the option it means. */
  labels: readonly string[];
}

/** The fields that formats know. */
const knownFields = [...new Set(formats.flatMap(({ fields, others = [] }) => [...fields, ...others]))];

/**
 * The pairs of a setting such as `0=terrible,1=great`. A comma parts two of them where another `=` follows.
 * @throws SubzeroError `invalid_argument`
 */
export function pairsOf(items: readonly string[], setting: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const pair of items.flatMap((item) => item.split(/,(?=[^,=]*=)/))) {
    const at = pair.indexOf('=');
    const [name, value] = [pair.slice(0, at).trim(), pair.slice(at + 1)];
    const problem =
      at === -1 || name === '' || value.trim() === ''
        ? `must be pairs NAME=VALUE with commas between them; got ${JSON.stringify(pair)}`
        : pairs.has(name)
          ? `has "${name}" twice`
          : undefined;
    if (problem !== undefined) {
      throw new SubzeroError('invalid_argument', words`${parameter(setting)} ${problem}`, { parameter: setting });
    }
    pairs.set(name, value);
  }
  return pairs;
}

/**
 * What makes a row of a format from a row of a file; undefined where nothing is to be done.
 *
 * A field that is chosen here wins over a column that says something else: with a template, a column `text` is not the
 * text that is learnt.
 *
 * @throws SubzeroError `invalid_argument` for choices that cannot be understood; the result throws `invalid_data` with
 * the row's place for a column that is missing and a label that has no word
 */
export function createRowMapping(choice: ColumnChoice): ((row: Row) => Row) | undefined {
  const columns = pairsOf(choice.columns, 'columns');
  const labels = pairsOf(choice.labels, 'labels');
  const template = choice.template === '' ? undefined : parseTextTemplate(choice.template);
  const unknown = [...columns.keys()].find((field) => !knownFields.includes(field));
  if (unknown !== undefined) {
    const problem = `has the unknown field "${unknown}"; known are ${knownFields.join(', ')}`;
    throw new SubzeroError('invalid_argument', words`${parameter('columns')} ${problem}`, { parameter: 'columns' });
  }
  if (columns.size === 0 && labels.size === 0 && template === undefined) return undefined;
  const options = optionsOf(labels);
  return (row) => {
    const value = { ...row.value };
    const chosen = new Set<string>(columns.keys());
    for (const column of columns.values()) delete value[column];
    for (const [field, column] of columns) {
      if (!(column in row.value)) throw missingColumn(row, column);
      value[field] = row.value[column];
    }
    if (template) {
      for (const column of template.columns) if (!chosen.has(column)) delete value[column];
      value.prompt = template.render(row);
      chosen.add('prompt');
    }
    if (labels.size > 0) {
      const labelled = { value: { ...row.value, ...value }, source: row.source };
      if (!('label' in labelled.value)) throw missingColumn(row, 'label', ', which labels are for', 'label');
      value.label = labelField(labelled, options.table);
      if (!('prompt' in value)) {
        if (!('text' in value)) {
          throw missingColumn(row, 'text', ', and no template, to make the prompt of', 'text');
        }
        value.prompt = value.text;
        chosen.add('prompt').delete('text');
      }
      value.options = options.words;
      chosen.add('options').add('label');
    }
    for (const [one, other] of contradictions) {
      if (chosen.has(one) && !chosen.has(other)) delete value[other];
      if (chosen.has(other) && !chosen.has(one)) delete value[one];
    }
    return makeRow(value, row.source);
  };
}

/** The different words of labels in their order, and the number of the word of each label. */
export function optionsOf(labels: ReadonlyMap<string, string>): { words: string[]; table: Record<string, number> } {
  const options = [...new Set(labels.values())];
  return {
    words: options,
    table: Object.fromEntries([...labels].map(([label, word]) => [label, options.indexOf(word)])),
  };
}
