/**
 * Requests to train, as what the training loop is started with. The loop is imported when it is first asked for.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import type { Grader, GraderDescription, GraderServices } from '../graders/index.ts';
import { baseDirectory, checkDirectory } from './directories.ts';
import type { LoadedModels } from './loaded-models.ts';
import type { FindEvent, FindLearningRateRequest, TrainEvent, TrainRequest } from './types.ts';

/**
 * Trains: begins a run, goes on with one, or forks one.
 * @param models for the folder of a base model that a request names as a loaded one
 */
export async function* train(
  gpu: Gpu,
  models: LoadedModels,
  { cluster, ...request }: TrainRequest,
  graderServices: GraderServices,
  signal?: AbortSignal,
): AsyncGenerator<TrainEvent> {
  const share = cluster && (await import('../cluster/coordinator.ts')).sharing(cluster);
  if ('resume' in request) {
    const { resume, ...changes } = request;
    await checkDirectory(resume);
    const { resumeRun } = await import('../train/resume.ts');
    yield* resumeRun(gpu, { folder: resume, changes, share, graderServices }, signal);
    return;
  }
  if ('fork' in request) {
    const { fork, data, validation, grader: description, ...rest } = request;
    await checkDirectory(fork);
    const grader = await graderOf(description);
    const sources = { ...(data ? { data } : {}), ...(validation ? { validation } : {}), ...grader };
    const { forkRun } = await import('../train/fork.ts');
    yield* forkRun(gpu, { ...rest, run: fork, sources, share, graderServices }, signal);
    return;
  }
  const { data, validation, grader: description, ...rest } = request;
  const modelDirectory = await baseDirectory(models, rest.model);
  const grader = await graderOf(description);
  const sources = { data, ...(validation ? { validation } : {}), ...grader };
  const { startRun } = await import('../train/start.ts');
  yield* startRun(gpu, { ...rest, modelDirectory, sources, share, graderServices }, signal);
}

/** Tries learning rates on data, from low to high. */
export async function* findRate(
  gpu: Gpu,
  models: LoadedModels,
  request: FindLearningRateRequest,
  signal?: AbortSignal,
): AsyncGenerator<FindEvent> {
  const { model, data, validation, ...rest } = request;
  const modelDirectory = await baseDirectory(models, model);
  const sources = { data, ...(validation ? { validation } : {}) };
  const { findLearningRate } = await import('../train/find-learning-rate.ts');
  yield* findLearningRate(gpu, { ...rest, modelDirectory, sources }, signal);
}

async function graderOf(description: GraderDescription | undefined): Promise<{ grader?: Grader }> {
  if (!description) return {};
  const { parseGrader } = await import('../graders/index.ts');
  return { grader: await parseGrader(description) };
}
