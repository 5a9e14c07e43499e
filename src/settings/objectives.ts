/**
 * What a run minimises: one row for each objective. docs/method.md, "Objectives", describes them, src/objectives/ has
 * their formulas.
 *
 * @module
 */

import type { ExampleKind } from '../data/example.ts';

export const objectiveNames = ['auto', 'dpo', 'ipo', 'orpo', 'accuracy', 'reward'] as const;
export type ObjectiveName = (typeof objectiveNames)[number];

/** An objective, as far as others have to know it. */
export interface ObjectiveRow {
  /** What it is, for people. */
  title: string;
  /** The examples that it learns from. */
  learnsFrom: readonly ExampleKind[];
  /** Compares with the base: needs the log-probabilities that it gives to the label tokens. */
  base?: true;
  /** Generates answers, which a grader is asked about. */
  generates?: true;
  /** Takes few values, so that the points of a step often have the same one. */
  discrete?: true;
}

export const objectives: Readonly<Record<ObjectiveName, ObjectiveRow>> = {
  auto: { title: 'the loss of the data', learnsFrom: ['options', 'completion'] },
  dpo: { title: 'direct preference optimisation', learnsFrom: ['preference'], base: true },
  ipo: { title: 'identity preference optimisation', learnsFrom: ['preference'], base: true },
  orpo: { title: 'odds-ratio preference optimisation', learnsFrom: ['preference'] },
  accuracy: { title: 'the share of wrong options', learnsFrom: ['options'], discrete: true },
  reward: { title: 'the reward of generated answers', learnsFrom: ['prompt'], generates: true, discrete: true },
};

/** What `auto` stands for with preferences. */
export const preferenceObjective = 'dpo' satisfies ObjectiveName;

/** The objectives that something is true of. */
export function objectivesThat(holds: (row: ObjectiveRow) => boolean): ObjectiveName[] {
  return objectiveNames.filter((name) => holds(objectives[name]));
}
