/**
 * The reference trajectories of test/fixtures/golden (how they were made: test/reference/README.md).
 *
 * @module
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TokenizedExample } from '../../../src/data/example.ts';
import { resolveConfiguration, type TrainConfiguration } from '../../../src/settings/configuration.ts';

export interface GoldenStep {
  step: number;
  /** Indices into the examples, repeats allowed. */
  batch: number[];
  loss_plus: number[];
  loss_minus?: number[];
  loss_base?: number;
  rho: number[];
}

export interface Golden {
  settings: {
    seed: number;
    rank: number;
    refresh: number;
    steps: number;
    epsilon: number;
    model: string;
    queries: number;
    sides: 1 | 2;
    norm_alignment: boolean;
    learning_rate: number;
    weight_decay: number;
    /** Patterns of what trains; all if left out. */
    parameters?: string[];
  };
  /** All of the model. */
  tensors: { name: string; id: number; shape: number[] }[];
  examples: { prompt: number[]; options: number[][]; label: number }[];
  factors_of: string;
  factors: { period: number; u: number[][]; v: number[][] }[];
  steps: GoldenStep[];
  /** S of some tensors after so many finished steps, before a renewal that is due then. */
  s: { after: number; s: Record<string, number[][]> }[];
  loss_of_all_examples: { before: number; after: number };
  relative_change: Record<string, number>;
  /** Summaries of what trains. */
  final: Record<string, GoldenSummary>;
}

/** Some elements of a tensor, and the norm of all. */
export interface GoldenSummary {
  shape: number[];
  indices: number[];
  values: number[];
  norm: number;
}

const fixtures = new URL('../../fixtures/', import.meta.url);

/** A JSON fixture under test/fixtures. */
export function readFixture<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(path, fixtures), 'utf8')) as T;
}

/** The directory of a fixture model. */
export function modelDirectory(name: string): string {
  return fileURLToPath(new URL(`models/${name}`, fixtures));
}

/** The trajectory `test/fixtures/golden/subzero-<name>.json`. */
export function readGolden(name: string): Golden {
  return readFixture<Golden>(`golden/subzero-${name}.json`);
}

/** The settings of a trajectory as a run has them. */
export function goldenConfiguration({ settings, steps }: Golden): TrainConfiguration {
  return resolveConfiguration({
    steps: settings.steps,
    batchSize: steps[0]!.batch.length,
    learningRate: settings.learning_rate,
    epsilon: settings.epsilon,
    rank: settings.rank,
    refresh: settings.refresh,
    queries: settings.queries,
    sides: settings.sides,
    normAlignment: settings.norm_alignment,
    weightDecay: settings.weight_decay,
    parameters: settings.parameters ?? [],
    seed: settings.seed,
  });
}

/** An example with options as the scorer takes it: every token of an option counts. */
export function optionsExample(prompt: number[], options: number[][], label: number): TokenizedExample {
  return { kind: 'options', prompt, continuations: options.map((ids) => ({ ids, scored: ids.length })), label };
}

/** Options of one token each in the place of a token of the prompt. */
export function maskedExample(prompt: number[], answerRow: number, words: number[], label: number): TokenizedExample {
  return {
    ...optionsExample(
      prompt,
      words.map((word) => [word]),
      label,
    ),
    answerRow,
  };
}

export function goldenExamples({ examples }: Golden): TokenizedExample[] {
  return examples.map(({ prompt, options, label }) => optionsExample(prompt, options, label));
}

/** The losses of a step in the order of the probes (see probePoints). */
export function probeLosses(step: GoldenStep): number[] {
  if (step.loss_base !== undefined) return [step.loss_base, ...step.loss_plus];
  return step.loss_plus.flatMap((plus, query) => [plus, step.loss_minus![query]!]);
}
