/**
 * The cache that programs of the Hugging Face Hub share: a folder for each repository, with contents by their checksums
 * (`blobs`), a folder of links to them for each commit (`snapshots`), and the commits that revisions meant when they
 * were last asked for (`refs`). Files that a commit is known not to have are empty ones under `.no_exist`.
 *
 * @see https://huggingface.co/docs/huggingface_hub/guides/manage-cache
 * @module
 */

import { makeFolders } from '../make-folders.ts';
import {
  copyFile,
  dirname,
  join,
  processId,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from '../platform/index.ts';
import { diskError } from '../safetensors/disk.ts';
import type { RepositoryFile } from './client.ts';
import { isCommit, type Repository } from './repository.ts';

/** Errors of file systems without links, or that keep them to administrators. */
const noLinks = ['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'UNKNOWN'];

export class RepositoryCache {
  readonly folder: string;
  readonly #revision: string;

  constructor(cacheDirectory: string, { type, id, revision }: Repository) {
    this.folder = join(cacheDirectory, `${type}s--${id.replaceAll('/', '--')}`);
    this.#revision = revision;
  }

  /** The commit that the revision is, or was when it was last asked for. */
  async commit(): Promise<string | undefined> {
    if (isCommit(this.#revision)) return this.#revision;
    const commit = (await readFile(this.#reference, 'utf8').catch(() => '')).trim();
    return isCommit(commit) ? commit : undefined;
  }

  get #reference(): string {
    return join(this.folder, 'refs', this.#revision);
  }

  /** Says what the revision is. */
  async setCommit(commit: string): Promise<void> {
    if (isCommit(this.#revision) || (await this.commit()) === commit) return;
    await this.#write(this.#reference, commit);
  }

  /** A file that appears whole. */
  async #write(file: string, content: string): Promise<void> {
    const partial = `${file}.${processId}.${crypto.randomUUID().slice(0, 8)}`;
    try {
      await makeFolders(dirname(file));
      await writeFile(partial, content);
      await rename(partial, file);
    } catch (error) {
      await rm(partial, { force: true }).catch(() => {});
      throw diskError(error, file, 'write');
    }
  }

  snapshot(commit: string): Snapshot {
    return new Snapshot(this.folder, commit);
  }

  /** The content of a file. */
  blob({ checksum }: RepositoryFile): string {
    return join(this.folder, 'blobs', checksum.value);
  }
}

/** The files of a commit that are here. */
export class Snapshot {
  readonly directory: string;
  readonly #folder: string;
  readonly #commit: string;

  constructor(folder: string, commit: string) {
    this.#folder = folder;
    this.#commit = commit;
    this.directory = join(folder, 'snapshots', commit);
  }

  path(file: string): string {
    return join(this.directory, file);
  }

  async read(file: string): Promise<string> {
    return await readFile(this.path(file), 'utf8');
  }

  async has(file: string): Promise<boolean> {
    return (await stat(this.path(file)).catch(() => undefined))?.isFile() ?? false;
  }

  async hasAll(files: readonly string[]): Promise<boolean> {
    for (const file of files) if (!(await this.has(file))) return false;
    return true;
  }

  /** Whether the commit is known not to have a file. */
  async lacks(file: string): Promise<boolean> {
    return (await stat(this.#marker(file)).catch(() => undefined)) !== undefined;
  }

  #marker(file: string): string {
    return join(this.#folder, '.no_exist', this.#commit, file);
  }

  /** Notes that the commit does not have a file. */
  async note(missing: string): Promise<void> {
    const marker = this.#marker(missing);
    try {
      await makeFolders(dirname(marker));
      await writeFile(marker, '');
    } catch (error) {
      throw diskError(error, marker, 'write');
    }
  }

  /** All files, from the folder's root. */
  async files(folder = ''): Promise<string[]> {
    const found: string[] = [];
    for (const name of (await readdir(this.path(folder)).catch(() => [])).sort()) {
      const path = folder === '' ? name : `${folder}/${name}`;
      const status = await stat(this.path(path)).catch(() => undefined);
      if (status?.isDirectory()) found.push(...(await this.files(path)));
      else if (status) found.push(path);
    }
    return found;
  }

  /** Links a file to its content. A file that is here is left as it is. */
  async link(file: string, blob: string): Promise<void> {
    if (await this.has(file)) return;
    const target = this.path(file);
    const up = '../'.repeat(file.split('/').length + 1);
    const partial = `${target}.${processId}.${crypto.randomUUID().slice(0, 8)}`;
    try {
      await makeFolders(dirname(target));
      await symlink(`${up}blobs/${blob.slice(join(this.#folder, 'blobs').length + 1)}`, partial).catch(
        async (error: { code?: string }) => {
          if (!noLinks.includes(error.code ?? '')) throw error;
          await copyFile(blob, partial);
        },
      );
      // Replaces a link whose content was removed.
      await rename(partial, target);
    } catch (error) {
      await rm(partial, { force: true }).catch(() => {});
      throw diskError(error, target, 'create');
    }
  }
}
