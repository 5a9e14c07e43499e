/**
 * The outcomes of an evaluation, made while it goes on.
 *
 * @module
 */

import type { Example, TokenizedExample } from '../data/example.ts';
import type { Outcome } from '../evaluation/outcome.ts';
import { chosenOption, correctOptions, type ExampleScore, lossOf } from '../objectives/loss.ts';

export class OutcomeCollector {
  readonly #texts: Example[] = [];
  readonly #withTexts: boolean;
  readonly outcomes: Outcome[] = [];

  /** @param withTexts whether outcomes have prompt and row, or their scores alone */
  constructor(withTexts: boolean) {
    this.#withTexts = withTexts;
  }

  /** The next tokenised example as a text. */
  readonly addText = (example: Example): void => {
    const { options, references, source } = example;
    // Without texts the words of options and references remain: they are few and short.
    const words = { prompt: '', ...(options ? { options } : {}), ...(references ? { references } : {}) };
    this.#texts.push(this.#withTexts ? example : { ...words, ...(source === undefined ? {} : { source }) });
  };

  /** What an example was scored. */
  score(index: number, tokenized: TokenizedExample, score: ExampleScore): void {
    const { prompt, options, source, references, item } = this.#texts[index]!;
    const { optionLoss, completionLoss, completionTokens } = lossOf(tokenized, score);
    const isChoice = options !== undefined;
    const known = isChoice ? choice(options, tokenized, score) : references === undefined ? {} : { references };
    this.outcomes[index] = {
      ...this.outcomes[index],
      ...(source === undefined ? {} : { source }),
      ...(this.#withTexts ? { prompt, ...(item ? { item } : {}) } : {}),
      ...(isChoice ? { loss: optionLoss, weight: 1 } : { loss: completionLoss, weight: completionTokens }),
      ...known,
    };
  }

  /** What was generated for an example that has been scored. */
  answer(index: number, text: string): void {
    this.outcomes[index]!.answer = text;
  }
}

function choice(options: readonly string[], tokenized: TokenizedExample, score: ExampleScore): Partial<Outcome> {
  const chosen = chosenOption(score);
  const correct = correctOptions(tokenized);
  const references = correct.map((index) => options[index]!.trim());
  return { options, chosen, correct, answer: options[chosen]!.trim(), references };
}
