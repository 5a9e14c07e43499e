/**
 * From the name of a repository to a folder with its files.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { type open, stat } from '../platform/index.ts';
import { RepositoryCache, type Snapshot } from './cache.ts';
import type { FileChoice } from './choice.ts';
import { HubClient, type Listing, PassingError, type RepositoryFile } from './client.ts';
import { type DownloadTimes, download, downloadTimes } from './download.ts';
import { hubSettings } from './environment.ts';
import {
  defaultRevision,
  describeRepository,
  parseRepositoryName,
  type Repository,
  type RepositoryType,
} from './repository.ts';

/** Files that come at the same time. */
const atOnce = 4;

/** How far a download has come. */
export interface PullProgress {
  /** Bytes that are here, and of all files. */
  bytes: number;
  totalBytes: number;
  /** Bytes that came over the network, for the speed. */
  received: number;
  files: number;
  totalFiles: number;
}

export interface ResolveRequest {
  type: RepositoryType;
  /** `owner/name`. */
  id: string;
  /** A branch, a tag or a commit; `main` by default. */
  revision?: string;
  files: FileChoice;
  /** Ask nothing of the hub; HF_HUB_OFFLINE says the same. */
  offline?: boolean;
  /** Ask the hub even where the cache has everything: a branch may have moved. */
  refresh?: boolean;
  /** Variables of the environment, see {@link hubSettings}; those of the process by default. */
  environment?: Readonly<Record<string, string | undefined>>;
  onProgress?: (progress: PullProgress) => void;
  /** Told what people should know besides. */
  onNote?: (note: string) => void;
  signal?: AbortSignal;
  /** For tests. */
  times?: Partial<DownloadTimes>;
  openFile?: typeof open;
}

export interface ResolvedRepository {
  /** The folder of the commit, in which all wanted files are. */
  directory: string;
  commit: string;
  /** From the folder's root. */
  files: string[];
  /** Bytes that had to be downloaded. */
  downloadedBytes: number;
}

/**
 * Finds the wanted files of a repository in the cache, or downloads them into it. The cache is used without asking the
 * hub where it has all of them, and with a note where it has enough and the hub cannot be reached.
 *
 * @throws SubzeroError `not_found`, `conflict` where access is refused, `unsupported` for a repository without the
 *   files, `io` for network and disk, `invalid_data` for what comes damaged
 */
export async function resolveRepository(request: ResolveRequest): Promise<ResolvedRepository> {
  const { type, id, revision = defaultRevision, files, refresh = false } = request;
  const parameter = type === 'model' ? 'model' : 'data';
  if (parseRepositoryName(`${id}@${revision}`)?.id !== id) {
    const message = `a repository is named owner/name, and a revision as in Git; got "${id}" at "${revision}"`;
    throw new SubzeroError('invalid_argument', message, { parameter });
  }
  const settings = await hubSettings(request.environment);
  const offline = request.offline || settings.offline;
  const repository: Repository = { type, id, revision };
  const cache = new RepositoryCache(settings.cacheDirectory, repository);
  const known = await cache.commit();
  const snapshot = known === undefined ? undefined : cache.snapshot(known);
  const fromCache = async (): Promise<ResolvedRepository> => {
    return { directory: snapshot!.directory, commit: known!, files: await snapshot!.files(), downloadedBytes: 0 };
  };
  if (offline) {
    if (snapshot && (await files.isUsable(snapshot))) return await fromCache();
    const whole = snapshot ? ' with all its files' : '';
    throw new SubzeroError(
      'not_found',
      `${describeRepository(repository)} is not in the cache ${settings.cacheDirectory}${whole}, and offline nothing ` +
        'is downloaded; leave out --offline and HF_HUB_OFFLINE to download it',
      { parameter },
    );
  }
  if (!refresh && snapshot && (await files.isComplete?.(snapshot))) return await fromCache();
  const client = new HubClient(settings, repository);
  let listing: Listing;
  try {
    listing = await client.list();
  } catch (error) {
    if (!(error instanceof PassingError) || !snapshot || !(await files.isUsable(snapshot))) throw error;
    request.onNote?.(`${error.message}; ${id} is taken from the cache as it is there`);
    return await fromCache();
  }
  const pull = new Pull(request, client, cache, listing);
  const wanted = await pull.run();
  await cache.setCommit(listing.commit);
  return {
    directory: cache.snapshot(listing.commit).directory,
    commit: listing.commit,
    files: wanted,
    downloadedBytes: pull.received,
  };
}

/** The download of what a listing has and the cache has not. */
class Pull {
  readonly #request: ResolveRequest;
  readonly #client: HubClient;
  readonly #cache: RepositoryCache;
  readonly #listing: Listing;
  readonly #snapshot: Snapshot;
  readonly #stop = new AbortController();
  readonly #progress: PullProgress = { bytes: 0, totalBytes: 0, received: 0, files: 0, totalFiles: 0 };

  constructor(request: ResolveRequest, client: HubClient, cache: RepositoryCache, listing: Listing) {
    this.#request = request;
    this.#client = client;
    this.#cache = cache;
    this.#listing = listing;
    this.#snapshot = cache.snapshot(listing.commit);
  }

  get received(): number {
    return this.#progress.received;
  }

  /** @returns the wanted files */
  async run(): Promise<string[]> {
    const { files, signal } = this.#request;
    const stop = (): void => this.#stop.abort(signal!.reason);
    signal?.throwIfAborted();
    signal?.addEventListener('abort', stop);
    try {
      const wanted = await this.#choose(files);
      const found = wanted.map((path) => this.#fileAt(path));
      this.#progress.totalFiles = found.length;
      this.#progress.totalBytes = found.reduce((sum, { size }) => sum + size, 0);
      // What is wanted last waits for the rest: where weights are, so is all that they come with.
      const isLate = ({ path }: RepositoryFile): boolean => path.endsWith('.safetensors');
      await this.#all(found.filter((file) => !isLate(file)));
      for (const name of files.optional ?? []) {
        if (!this.#listing.files.some(({ path }) => path === name)) await this.#snapshot.note(name);
      }
      await this.#all(found.filter(isLate));
      return wanted;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  #choose(files: FileChoice): Promise<string[]> {
    const { id, revision = defaultRevision, type } = this.#request;
    return files.choose({
      name: describeRepository({ type, id, revision }),
      paths: this.#listing.files.map(({ path }) => path),
      read: async (path) => {
        await this.#one(this.#fileAt(path), () => {});
        return await this.#snapshot.read(path);
      },
    });
  }

  #fileAt(path: string): RepositoryFile {
    return this.#listing.files.find((file) => file.path === path)!;
  }

  /** Some files at a time. The first failure ends the others, which leave their parts behind. */
  async #all(files: readonly RepositoryFile[]): Promise<void> {
    const waiting = [...files];
    const work = async (): Promise<void> => {
      for (let file = waiting.shift(); file; file = waiting.shift()) {
        await this.#one(file, (count) => {
          this.#progress.bytes += count;
          this.#request.onProgress?.({ ...this.#progress });
        });
        this.#progress.files++;
      }
    };
    let failure: { error: unknown } | undefined;
    const lines = Array.from({ length: atOnce }, () =>
      work().catch((error) => {
        failure ??= { error };
        waiting.length = 0;
        this.#stop.abort(error);
      }),
    );
    await Promise.all(lines);
    if (failure) throw failure.error;
    this.#request.onProgress?.({ ...this.#progress });
  }

  async #one(file: RepositoryFile, onBytes: (count: number) => void): Promise<void> {
    const blob = this.#cache.blob(file);
    const { times, openFile, onNote = () => {} } = this.#request;
    if ((await stat(blob).catch(() => undefined))?.size === file.size) {
      onBytes(file.size);
    } else {
      await download({
        ...{ client: this.#client, commit: this.#listing.commit, file, blob, signal: this.#stop.signal },
        times: { ...downloadTimes, ...times },
        onBytes,
        onReceived: (count) => {
          this.#progress.received += count;
        },
        onNote,
        ...(openFile ? { openFile } : {}),
      });
    }
    await this.#snapshot.link(file.path, blob);
  }
}
