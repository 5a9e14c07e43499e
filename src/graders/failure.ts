/**
 * What can go wrong when a sample is graded, apart from the grader's description being wrong.
 *
 * @module
 */

/** The kinds that the answers of OpenAI's service tell apart, under its names. */
const failureKinds = [
  'sample_parse_error', // sample.output_json of a text that is no JSON
  'invalid_variable_error', // a template names what neither item nor sample has
  'formula_parse_error', // calculate_output is no formula, or comes to no number
  'model_grader_parse_error', // the answer of a judging model is no score or label
  'model_grader_server_error', // the judging model could not be asked
  'script_error', // the program threw, ran out of time or memory, or returned no number
  'other_error',
] as const;
export type FailureKind = (typeof failureKinds)[number];

/** Why a sample has no grade. */
export class GraderFailure extends Error {
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.name = 'GraderFailure';
    this.kind = kind;
  }
}
