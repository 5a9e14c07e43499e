/**
 * A request as the command that makes it again, and what an experiment has no use for.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { shellWord } from '../format.ts';
import { resolveConfiguration } from '../settings/configuration.ts';
import { parameter, words } from '../words.ts';
import type { Experiment, ExperimentRequest } from './experiment.ts';

/** Fields that an experiment says it reads, as options of one value or several. */
const fields = [
  ...(['tasks', 'schemes', 'optimizers', 'ranks', 'refreshes', 'learningRates', 'stages'] as const),
  ...(['steps', 'batchSize', 'limit'] as const),
];

const optionOf = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** What a request gives of what an experiment has defaults for, as options. */
export function givenFields(request: ExperimentRequest): string[] {
  return fields.flatMap((field) => (request[field] === undefined ? [] : [optionOf(field), String(request[field])]));
}

/** The command of a request, with other folders than that of the report left to the reader. */
export function commandText(name: string, request: ExperimentRequest): string {
  const { model, data, validation, seeds, reading = {} } = request;
  const placed = (source: typeof data): string => ('task' in source ? source.directory : source.file);
  const task = 'task' in data ? data.task : undefined;
  const chosen: (string | undefined)[] = [
    ...['--model', model],
    ...(task === undefined ? [] : typeof task === 'string' ? ['--task', task] : ['--task-file', 'FILE']),
    ...['--data', placed(data)],
    ...(validation ? ['--validation', placed(validation)] : []),
    ...['--seeds', String(seeds.length)],
    ...(seeds[0] === 0 ? [] : ['--first-seed', String(seeds[0])]),
    ...givenFields(request),
    ...Object.entries(reading).flatMap(([key, value]) =>
      [value].flat().flatMap((each) => [optionOf(key), String(each)]),
    ),
  ];
  return ['subzero', 'experiment', name, ...chosen.map((word) => shellWord(word!)), '--out', 'DIR'].join(' ');
}

/** Settings that lists have values of. */
const listed = [
  ['ranks', 'rank'],
  ['refreshes', 'refresh'],
  ['learningRates', 'learningRate'],
] as const;

/**
 * Refuses what would be ignored, and values that no run takes, before other cells have been measured for hours.
 * @throws SubzeroError `invalid_argument` for a setting that the experiment does not read, and for such a value
 */
export function checkRead(name: string, experiment: Experiment, request: ExperimentRequest): void {
  const { reads, data: splits = [], sources } = experiment;
  const unread = fields.find((field) => request[field] !== undefined && !reads.includes(field));
  if (unread !== undefined) {
    const others = reads.filter((field) => field !== unread).map(optionOf);
    throw new SubzeroError(
      'invalid_argument',
      words`the experiment ${name} does not read ${parameter(unread)}; it reads ${others.join(', ')}`,
      { parameter: unread },
    );
  }
  for (const [list, setting] of listed) {
    for (const value of request[list] ?? []) resolveConfiguration({ [setting]: value });
  }
  if (request.validation === undefined || (splits.includes('evaluation') && !sources)) return;
  throw new SubzeroError('invalid_argument', `the experiment ${name} reads no validation data beside its data`, {
    parameter: 'validation',
  });
}
