/**
 * Where data comes from.
 *
 * @module
 */

/** Data for training or evaluation: a named task over a directory of its splits, or one JSONL file. */
export type DataSource = { task: string; directory: string } | { file: string };
