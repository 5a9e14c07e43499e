/**
 * The suites of the kernel benchmark: `quick` is for a software adapter or a first look, `full` for a GPU.
 *
 * @module
 */

export const suites = ['quick', 'full'] as const;
export type Suite = (typeof suites)[number];
