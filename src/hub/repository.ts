/**
 * Names of repositories on the Hugging Face Hub, and of files in them.
 *
 * @module
 */

/** What a repository holds. */
export type RepositoryType = 'model' | 'dataset';

/** A repository at a revision: a branch, a tag or a commit. */
export interface Repository {
  type: RepositoryType;
  /** `owner/name`. */
  id: string;
  revision: string;
}

/** A repository as it is written: `owner/name`, `owner/name@revision`, and a file of it behind a colon. */
export interface RepositoryName {
  id: string;
  revision?: string;
  file?: string;
}

/** The revision that is meant where none is named. */
export const defaultRevision = 'main';

const part = '[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?';
const written = new RegExp(`^(${part}/${part})(?:@([^@:\\s]+))?(?::([^:]+)|/([^:@]+\\.gguf))?$`);

/**
 * Reads `owner/name[@revision][:file]`, or `owner/name/file.gguf`.
 * @returns `undefined` for what cannot be one, such as most paths
 */
export function parseRepositoryName(text: string): RepositoryName | undefined {
  const [, id, revision, file, shortFile] = written.exec(text) ?? [];
  if (id === undefined || id.includes('..') || id.includes('--')) return undefined;
  const named = file ?? shortFile;
  if (revision !== undefined && !isSafePath(revision)) return undefined;
  if (named !== undefined && !isSafePath(named)) return undefined;
  return { id, ...(revision === undefined ? {} : { revision }), ...(named === undefined ? {} : { file: named }) };
}

/** Whether a path stays within its folder on every system. */
export function isSafePath(path: string): boolean {
  return !/[\\:\p{Cc}]/u.test(path) && path.split('/').every((name) => name !== '' && name !== '.' && name !== '..');
}

/** Whether a revision is a commit, which cannot come to mean another. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** `the model owner/name`, with the revision where it is another than the default. */
export function describeRepository({ type, id, revision }: Repository): string {
  return `the ${type} ${id}${revision === defaultRevision ? '' : ` at ${revision}`}`;
}
