/**
 * Graders: what a sample of a model is worth.
 *
 * @module
 */

export { judgesOf, parseGrader } from './description.ts';
export { type FailureKind, GraderFailure } from './failure.ts';
export { type Grade, type GraderServices, grade, type JudgeRequest } from './grade.ts';
export type { Grader, GraderDescription } from './grader.ts';
export type { GradedSample } from './template.ts';
