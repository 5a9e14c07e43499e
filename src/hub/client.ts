/**
 * Requests to the Hugging Face Hub: what a repository holds, and the bytes of its files.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { HubSettings } from './environment.ts';
import { describeRepository, isSafePath, type Repository } from './repository.ts';

/** A file of a repository at a commit. */
export interface RepositoryFile {
  /** From the repository's root, with `/`. */
  path: string;
  /** In bytes. */
  size: number;
  /** The checksum of the content: SHA-256 where it is stored apart (LFS, Xet), otherwise that of Git's object. */
  checksum: { algorithm: 'sha256' | 'git-sha1'; value: string };
}

/** What a repository holds at a commit. */
export interface Listing {
  commit: string;
  files: RepositoryFile[];
}

/** A failure that another attempt may not meet. */
export class PassingError extends SubzeroError {
  constructor(message: string, cause?: unknown) {
    super('io', message, { cause });
  }
}

/** Redirects that are followed. */
const mostRedirects = 10;

/** How long an answer may take to begin. */
const answerMilliseconds = 60_000;

/** Statuses that pass: the service is busy, or something between has given up. */
const passingStatuses = [408, 429, 500, 502, 503, 504];

export class HubClient {
  readonly #settings: HubSettings;
  readonly #repository: Repository;

  constructor(settings: HubSettings, repository: Repository) {
    this.#settings = settings;
    this.#repository = repository;
  }

  /** Where people look at the repository. */
  get page(): string {
    const { type, id } = this.#repository;
    return `${this.#settings.endpoint}/${type === 'dataset' ? 'datasets/' : ''}${id}`;
  }

  /**
   * The commit of the revision and all files there.
   * @throws SubzeroError `not_found`, `conflict` where access is refused, `io` if the service cannot be reached
   */
  async list(): Promise<Listing> {
    const { listFiles, modelInfo, datasetInfo } = await import('@huggingface/hub');
    const { type, id: name, revision } = this.#repository;
    const common = { hubUrl: this.#settings.endpoint, fetch: this.#fetch };
    const about = { ...common, name, revision, additionalFields: ['sha' as const] };
    try {
      const { sha: commit } = await (type === 'model' ? modelInfo(about) : datasetInfo(about));
      if (!/^[0-9a-f]{40}$/.test(commit)) throw this.#strange(`a commit "${commit}"`);
      const files: RepositoryFile[] = [];
      for await (const entry of listFiles({ ...common, repo: { type, name }, revision: commit, recursive: true })) {
        if (entry.type === 'file') files.push(this.#fileOf(entry));
      }
      return { commit, files };
    } catch (error) {
      if (error instanceof SubzeroError) throw error;
      throw this.#strange('something else', error);
    }
  }

  #fileOf({ path, size, oid, lfs }: { path: string; size: number; oid?: string; lfs?: { oid: string; size: number } }) {
    const value = lfs?.oid ?? oid ?? '';
    const isHash = (lfs ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/).test(value);
    if (!isHash || !isSafePath(path)) throw this.#strange(`the file ${JSON.stringify(path)} with the id "${value}"`);
    const algorithm = lfs ? ('sha256' as const) : ('git-sha1' as const);
    return { path, size: lfs?.size ?? size, checksum: { algorithm, value } };
  }

  /**
   * The bytes of a file from `offset` on, or all of it where the service sends no parts.
   * @throws PassingError, or SubzeroError as {@link list}
   */
  async open(commit: string, path: string, offset: number, signal: AbortSignal): Promise<Response> {
    const escaped = path.split('/').map(encodeURIComponent).join('/');
    const range: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
    return await this.#request(`${this.page}/resolve/${commit}/${escaped}`, { ...range }, { path, signal });
  }

  /** For the library, which makes an error of its own of any answer that is none of ours. */
  readonly #fetch: typeof fetch = async (input) => {
    const url = typeof input === 'string' ? input : input instanceof URL ? input.href : input.url;
    return await this.#request(url, { accept: 'application/json' }, {});
  };

  /** Asks, following redirects; the token goes to the endpoint alone. */
  async #request(
    url: string,
    headers: Record<string, string>,
    { path, signal }: { path?: string; signal?: AbortSignal },
  ): Promise<Response> {
    const { endpoint, token } = this.#settings;
    let at = new URL(url);
    for (let redirects = 0; redirects <= mostRedirects; redirects++) {
      const own = at.origin === new URL(endpoint).origin && token !== undefined;
      const late = new AbortController();
      const timer = setTimeout(() => late.abort(), answerMilliseconds);
      let response: Response;
      try {
        response = await fetch(at, {
          redirect: 'manual',
          signal: signal ? AbortSignal.any([signal, late.signal]) : late.signal,
          // Parts of a packed body would not be parts of the file.
          headers: {
            'accept-encoding': 'identity',
            'user-agent': 'subzero-webgpu',
            ...headers,
            ...(own ? { authorization: `Bearer ${token}` } : {}),
          },
        });
      } catch (error) {
        if (signal?.aborted) throw signal.reason;
        const why = late.signal.aborted ? `no answer within ${answerMilliseconds / 1000} s` : reasonOf(error);
        throw new PassingError(`cannot reach ${at.origin}: ${why}; check the network, or HF_ENDPOINT`, error);
      } finally {
        clearTimeout(timer);
      }
      if (response.ok) return response;
      const location = response.headers.get('location');
      if (response.status < 300 || response.status >= 400 || location === null) {
        throw await this.#refusal(response, at, path);
      }
      await response.body?.cancel();
      at = new URL(location, at);
    }
    throw this.#strange(`more than ${mostRedirects} redirects`);
  }

  /** What an answer that is none means. */
  async #refusal(response: Response, { origin }: URL, path: string | undefined): Promise<SubzeroError> {
    const { status, headers } = response;
    const told = (headers.get('x-error-message') ?? '').slice(0, 300);
    await response.body?.cancel();
    const named = describeRepository(this.#repository);
    if (passingStatuses.includes(status)) {
      return new PassingError(`${origin} answered ${status} for ${path ?? named}; try again later`);
    }
    const { token } = this.#settings;
    const code = headers.get('x-error-code');
    const { type, id, revision } = this.#repository;
    const refuse = (kind: 'not_found' | 'conflict', message: string): SubzeroError =>
      new SubzeroError(kind, message, { parameter: type === 'model' ? 'model' : 'data' });
    if (code === 'GatedRepo') {
      const key = token ? 'the account of HF_TOKEN' : 'an account, and set HF_TOKEN to a token of it';
      return refuse('conflict', `${id} is gated: accept its terms at ${this.page} with ${key}`);
    }
    if (code === 'RevisionNotFound') return refuse('not_found', `${id} has no revision "${revision}"`);
    if (code === 'EntryNotFound') return refuse('not_found', `${named} has no file ${path ?? ''}`);
    // Anonymous requests get 401 for what does not exist, too.
    if (status === 404 || code === 'RepoNotFound' || (status === 401 && !token)) {
      const hidden = token ? 'or the account of HF_TOKEN may not see it' : 'or it is private and HF_TOKEN is not set';
      return refuse('not_found', `${origin} has no ${type} ${id}, ${hidden}; check the name`);
    }
    if (status === 401 || status === 403) {
      return refuse('conflict', `${origin} refuses ${named} to the account of HF_TOKEN${told ? ` (${told})` : ''}`);
    }
    return new SubzeroError('io', `${origin} answered ${status} for ${path ?? named}${told ? `: ${told}` : ''}`);
  }

  #strange(what: string, cause?: unknown): SubzeroError {
    const why = cause === undefined ? '' : `: ${reasonOf(cause)}`;
    const { endpoint } = this.#settings;
    const message = `${endpoint} does not answer as the Hugging Face Hub does (${what}${why}); check HF_ENDPOINT`;
    return new SubzeroError('invalid_data', message, { cause });
  }
}

/** Why a request failed, which runtimes put in different places. */
export function reasonOf(error: unknown): string {
  const { message, cause, code } = error as { message?: string; cause?: unknown; code?: unknown };
  const inner = cause as { code?: unknown; message?: string } | undefined;
  const found = inner?.code ?? code ?? inner?.message ?? message;
  return String(found ?? error).slice(0, 200);
}
