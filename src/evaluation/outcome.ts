/**
 * What a model made of one example of an evaluation. Plain data, which crosses between threads and stands in reports.
 *
 * @module
 */

export interface Outcome {
  /** `file:line` of the row. */
  source?: string;
  /** What the model read; absent where only scores were asked for. */
  prompt?: string;
  /** The row that the example was made of; absent as the prompt. */
  item?: Readonly<Record<string, unknown>>;
  /**
   * What the example adds to the loss, in nats, and the weight that it adds it with: its tokens, 1 with options, 0
   * where it has no answer to take a loss of.
   */
  loss: number;
  weight: number;
  options?: readonly string[];
  /** The number of the option that the model chose, and of those that count as right. */
  chosen?: number;
  correct?: readonly number[];
  /** The text that the model generated, or the option that it chose, without space around it. */
  answer?: string;
  /** The answers that count as right. */
  references?: readonly string[];
  /** What a grader made of the answer. */
  reward?: number;
  /**
   * The margin of a preference: log p(chosen) − log p(rejected), in nats; where it is compared with a base, less that
   * of the base.
   */
  margin?: number;
  /** −log σ(β · margin), where a preference is compared with a base. */
  dpoLoss?: number;
}
