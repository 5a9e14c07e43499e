/**
 * Models and data sets of the Hugging Face Hub, by way of the cache that its other programs use.
 *
 * @module
 */

export { adapterFiles, type FileChoice, filesLike, modelFiles, theseFiles } from './choice.ts';
export { parseRepositoryName, type RepositoryName, type RepositoryType } from './repository.ts';
export { type PullProgress, type ResolvedRepository, type ResolveRequest, resolveRepository } from './resolve.ts';
