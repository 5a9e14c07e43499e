/**
 * The outcomes of an evaluation, made while it goes on.
 *
 * @module
 */

import type { Example, TokenizedExample } from '../data/example.ts';
import type { Outcome } from '../evaluation/outcome.ts';
import { chosenOption, correctOptions, type ExampleScore, lossOf } from '../objectives/loss.ts';

export class OutcomeCollector {
  readonly #options: (readonly string[] | undefined)[] = [];
  readonly #withTexts: boolean;
  readonly outcomes: Outcome[] = [];

  /** @param withTexts whether outcomes have prompt and row, or their scores alone */
  constructor(withTexts: boolean) {
    this.#withTexts = withTexts;
  }

  /** The next tokenised example as a text. Without texts the words of options and references remain: they are few. */
  readonly addText = ({ prompt, options, references, source, item }: Example): void => {
    this.#options.push(options);
    this.outcomes.push({
      ...(source === undefined ? {} : { source }),
      ...(this.#withTexts ? { prompt, ...(item ? { item } : {}) } : {}),
      ...{ loss: 0, weight: 0 },
      ...(references && !options ? { references } : {}),
    });
  };

  /** What an example was scored. */
  score(index: number, tokenized: TokenizedExample, score: ExampleScore): void {
    const options = this.#options[index];
    const { optionLoss, completionLoss, completionTokens } = lossOf(tokenized, score);
    const [loss, weight] = options ? [optionLoss, 1] : [completionLoss, completionTokens];
    Object.assign(this.outcomes[index]!, { loss, weight, ...(options ? choice(options, tokenized, score) : {}) });
  }

  /** What was generated for an example. */
  answer(index: number, text: string): void {
    this.outcomes[index]!.answer = text;
  }
}

function choice(options: readonly string[], tokenized: TokenizedExample, score: ExampleScore): Partial<Outcome> {
  const chosen = chosenOption(score);
  const correct = correctOptions(tokenized);
  const references = correct.map((index) => options[index]!.trim());
  const [first, second] = score.logprobs;
  const margin = tokenized.kind === 'preference' ? { margin: first! - second! } : {};
  return { options, chosen, correct, answer: options[chosen]!.trim(), references, ...margin };
}
