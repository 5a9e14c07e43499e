/**
 * Graders: what a sample of a model is worth.
 *
 * @module
 */

export { type Grader, type GraderDescription, graderSchema, judgesOf, parseGrader } from './description.ts';
export { type FailureKind, GraderFailure } from './failure.ts';
export { type Grade, type GraderServices, grade, type JudgeRequest } from './grade.ts';
export type { GradedSample } from './template.ts';
