/**
 * The optimisers: one row says what is particular to each. docs/method.md describes them, zo/create-optimizer.ts
 * makes them.
 *
 * @module
 */

import type { TrainConfiguration } from './configuration.ts';

export const optimizerNames = ['subzero', 'subzero-plus', 'mezo', 'sparse-mezo', 'hizoo'] as const;
export type OptimizerName = (typeof optimizerNames)[number];

/**
 * How it moves a matrix: within a low-rank change that is folded into the matrix now and then, in the same by Adam, or
 * along noise on every element, which writes the matrix at every step.
 */
export type Family = 'factored' | 'factored-adam' | 'dense';

/** What a step measures beside ρ, a number for each query: HiZOO's |ℓ₊ + ℓ₋ − 2ℓ₀| / 2ε². */
export type MeasuredField = 'curvatures';

/**
 * What a step records beside ρ: what it measures, and what the update takes in the place of ρ, where that is another.
 */
export type RecordField = MeasuredField | 'alignedGradients';
export const recordFields: readonly RecordField[] = ['curvatures', 'alignedGradients'];

export interface Method {
  /** Its name for people. */
  title: string;
  family: Family;
  /** Where its published settings differ from SubZero's; schemes have more, see schemes.ts. */
  defaults: Partial<TrainConfiguration>;
  /** The only number of sides that it can do with, and why. */
  sides?: { only: 1 | 2; because: string };
  /** Looks at the unperturbed parameters even where it has two sides. */
  centre?: true;
  /** In the order in which the journal has them. */
  records?: readonly MeasuredField[];
  /**
   * The running means of gradients that its update keeps: those of Adam, or what `mezoUpdate` chooses; none if left
   * out.
   */
  means?: 'adam' | 'chosen';
}

export const methods: Readonly<Record<OptimizerName, Method>> = {
  subzero: { title: 'SubZero', family: 'factored', defaults: {} },
  'subzero-plus': {
    title: 'SubZero+',
    family: 'factored-adam',
    defaults: { steps: 400, learningRate: 5e-3, refresh: 50, queries: 99, sides: 1 },
    means: 'adam',
  },
  mezo: {
    title: 'MeZO',
    family: 'dense',
    defaults: { adamBeta2: 0.999 },
    means: 'chosen',
  },
  'sparse-mezo': { title: 'Sparse MeZO', family: 'dense', defaults: {} },
  hizoo: {
    title: 'HiZOO',
    family: 'dense',
    defaults: {},
    sides: { only: 2, because: 'which estimates the curvature from both sides' },
    centre: true,
    records: ['curvatures'],
  },
};

/** What decides the records of a step, but for the number of queries. */
export type RecordSettings = Pick<TrainConfiguration, 'optimizer' | 'queryCombination'>;

/** What the steps of a run record beside ρ, in the order in which the journal has it. */
export function recordedBy({ optimizer, queryCombination }: RecordSettings): RecordField[] {
  return [
    ...(methods[optimizer].records ?? []),
    ...(queryCombination === 'aligned' ? ['alignedGradients' as const] : []),
  ];
}

/** The optimisers that something is true of. */
export function optimizersThat(holds: (method: Method) => boolean): OptimizerName[] {
  return optimizerNames.filter((name) => holds(methods[name]));
}

/** The running means of gradients that a run keeps. */
export function meansOf({
  optimizer,
  mezoUpdate,
}: Pick<TrainConfiguration, 'optimizer' | 'mezoUpdate'>): 'none' | 'momentum' | 'adam' {
  const { means = 'none' } = methods[optimizer];
  if (means !== 'chosen') return means;
  return mezoUpdate === 'sgd' ? 'none' : mezoUpdate;
}
