/**
 * The rows that a run and its base are compared on: its examples or, where answers are generated, the prompts.
 *
 * A generated answer is another text under every probe and at every step. The base would have to stay in memory to be
 * asked about it, and differences between probes would be those of texts. The tokens of a prompt are the same under all
 * probes, and what the base says of them is asked once.
 *
 * @module
 */

import type { TokenizedExample } from '../data/example.ts';
import { withLeading } from '../model/virtual-tokens.ts';
import { driftOf } from '../objectives/anchor.ts';
import type { ExampleScore, MeasureSum } from '../objectives/loss.ts';
import type { Probes } from '../ops/probes.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { objectives } from '../settings/objectives.ts';
import type { BaseScores } from './base-scores.ts';
import type { ProbeSource, Scorer } from './score.ts';

/** By the example that they are made of, so that one example has one row. */
const rowsOfPrompts = new WeakMap<TokenizedExample, TokenizedExample>();

/** What the base is asked about. Prompts of one token have nothing to predict and are left out. */
export function comparedRows(
  { objective }: Pick<TrainConfiguration, 'objective'>,
  examples: readonly TokenizedExample[],
): TokenizedExample[] {
  if (!objectives[objective].generates) return [...examples];
  return examples.flatMap((example) => rowOfPrompt(example) ?? []);
}

/** The prompt as a text of which all tokens but the first are scored; undefined for a prompt of one token. */
function rowOfPrompt(example: TokenizedExample): TokenizedExample | undefined {
  const known = rowsOfPrompts.get(example);
  if (known) return known;
  if (example.prompt.length < 2) return undefined;
  // Examples may read their tokens from a file when they are asked for them, so nothing is copied here.
  const row: TokenizedExample = {
    ...{ kind: 'completion', label: 0 },
    get prompt() {
      return example.prompt.slice(0, 1);
    },
    get continuations() {
      const ids = example.prompt.slice(1);
      return [{ ids, scored: ids.length }];
    },
  };
  rowsOfPrompts.set(example, row);
  return row;
}

/** The examples that a run trains and is evaluated on. */
interface RunExamples {
  examples: readonly TokenizedExample[];
  validation: readonly TokenizedExample[];
}

/**
 * The rows of prompts as the model sees them, by the examples as it sees them; nothing where no answers are generated.
 * @param own the examples without virtual tokens, which the base does not see
 * @param shown the same with them, in the same order
 */
export function shownPrompts(
  { configuration, ...own }: RunExamples & { configuration: TrainConfiguration },
  shown: RunExamples,
  { base, leading }: { base: BaseScores; leading: readonly number[] },
): Map<TokenizedExample, TokenizedExample> | undefined {
  if (!objectives[configuration.objective].generates) return undefined;
  const rows = new Map<TokenizedExample, TokenizedExample>();
  for (const part of ['examples', 'validation'] as const) {
    for (const [index, example] of own[part].entries()) {
      const originals = comparedRows(configuration, [example]);
      const seen = withLeading(originals, leading);
      base.show(originals, seen);
      for (const row of seen) rows.set(shown[part][index]!, row);
    }
  }
  return rows;
}

/** How far a model has drifted from the base on the prompts of examples. */
export class PromptDrift {
  readonly #scorer: Scorer;
  readonly #base: BaseScores;
  readonly #rows: ReadonlyMap<TokenizedExample, TokenizedExample>;

  /** @param rows of the examples, virtual tokens included; those without one have no tokens to compare */
  constructor(scorer: Scorer, base: BaseScores, rows: ReadonlyMap<TokenizedExample, TokenizedExample>) {
    this.#scorer = scorer;
    this.#base = base;
    this.#rows = rows;
  }

  /** Σ ½(log p − log p₀)² over the tokens of the prompts, under one probe, and how many these are. */
  async of(examples: readonly TokenizedExample[], probes: Probes): Promise<MeasureSum> {
    const rows = this.#rowsOf(examples);
    const [scores] = await this.#scorer.score(rows, probes);
    return this.#sumOf(rows, scores!);
  }

  /** The same under each probe of a step. */
  async ofStep(examples: readonly TokenizedExample[], source: ProbeSource, step: number): Promise<MeasureSum[]> {
    const rows = this.#rowsOf(examples);
    const scores = await this.#scorer.scoreStep(rows, source, step);
    return scores.map((ofProbe) => this.#sumOf(rows, ofProbe));
  }

  #rowsOf(examples: readonly TokenizedExample[]): TokenizedExample[] {
    return examples.flatMap((example) => this.#rows.get(example) ?? []);
  }

  #sumOf(rows: readonly TokenizedExample[], scores: readonly ExampleScore[]): MeasureSum {
    const drift = (score: ExampleScore, index: number): MeasureSum => ({
      sum: driftOf(score, this.#base.of(rows[index]!)),
      count: score.counts[0]!,
    });
    return scores
      .map(drift)
      .reduce((all, { sum, count }) => ({ sum: all.sum + sum, count: all.count + count }), { sum: 0, count: 0 });
  }
}
