/**
 * A Hugging Face Hub in miniature: information about repositories, listings in pages, files by way of a redirect to a
 * second host, gates, and failures to order.
 *
 * @module
 */

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeRepository {
  type?: 'model' | 'dataset';
  /** By revision; `main` must be there. */
  commits: Record<string, string>;
  files: Record<string, Uint8Array | string>;
  /** Answers 403 without this token. */
  gatedFor?: string;
  /** Answers 401 without it. */
  privateFor?: string;
}

/** What goes wrong with a file. */
export interface Trouble {
  /** Bytes after which a body is cut, for this many requests. */
  cutAfter?: number;
  times?: number;
  /** Bytes that come instead of the right ones, for so many requests. */
  wrong?: Uint8Array;
  /** Sends all of a file whatever part is asked for. */
  noRanges?: boolean;
  /** Answers this instead, for so many requests. */
  status?: number;
  /** Pauses for so long in the middle of a body. */
  stall?: number;
}

export interface Request {
  method: string;
  url: string;
  host: string;
  authorization: string | undefined;
  range: string | undefined;
}

const lfs = (path: string): boolean => /\.(safetensors|gguf|bin|parquet)$/.test(path);

export function bytesOf(content: Uint8Array | string): Uint8Array {
  return typeof content === 'string' ? new TextEncoder().encode(content) : content;
}

export class FakeHub {
  readonly repositories = new Map<string, FakeRepository>();
  readonly trouble = new Map<string, Trouble>();
  readonly requests: Request[] = [];
  /** Entries of a page of a listing. */
  pageSize = 3;
  #hub!: Server;
  #storage!: Server;

  static async start(): Promise<FakeHub> {
    const hub = new FakeHub();
    hub.#hub = await listen((request, response) => hub.#answer(request, response));
    hub.#storage = await listen((request, response) => hub.#send(request, response));
    return hub;
  }

  get endpoint(): string {
    return addressOf(this.#hub);
  }

  /** The requests for files, in the order in which they came to the storage or, for small ones, to the hub. */
  get downloads(): Request[] {
    return this.requests.filter(
      ({ url, host }) => url.startsWith('/lfs/') || (host === 'hub' && /\/resolve\//.test(url)),
    );
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  #note(request: IncomingMessage, host: string): void {
    const { method, url, headers } = request;
    const { authorization, range } = headers;
    this.requests.push({ method: method!, url: url!, host, authorization, range });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.#note(request, 'hub');
    const url = new URL(request.url!, this.endpoint);
    const [, api, types, id, what, revision, path] =
      /^(\/api)?(?:\/(models|datasets))?\/([^/]+\/[^/]+)\/(revision|tree|resolve)\/([^/]+)(?:\/(.*))?$/.exec(
        url.pathname,
      ) ?? [];
    const repository = id === undefined ? undefined : this.repositories.get(id);
    const token = request.headers.authorization?.replace('Bearer ', '');
    const refuse = (status: number, code: string, message: string): void => {
      const headers = { 'x-error-code': code, 'x-error-message': message, 'content-type': 'application/json' };
      response.writeHead(status, headers).end(JSON.stringify({ error: message }));
    };
    const type = types === 'datasets' ? 'dataset' : 'model';
    if (!repository || (repository.type ?? 'model') !== type) {
      refuse(token ? 404 : 401, 'RepoNotFound', 'Repository not found');
      return;
    }
    if (repository.privateFor && token !== repository.privateFor) {
      refuse(token ? 403 : 401, token ? '' : 'RepoNotFound', 'no access');
      return;
    }
    const commit = repository.commits[decodeURIComponent(revision!)] ?? revision!;
    if (!Object.values(repository.commits).includes(commit)) {
      refuse(404, 'RevisionNotFound', 'Invalid rev id');
      return;
    }
    if (api && what === 'revision') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ _id: '1', id, sha: commit, private: false, gated: false, likes: 0, downloads: 0 }));
      return;
    }
    if (api && what === 'tree') {
      const from = Number(url.searchParams.get('cursor') ?? 0);
      const entries = Object.entries(repository.files).map(([name, content]) => entryOf(name, bytesOf(content)));
      const all = [{ type: 'directory', path: 'folder', oid: 'f'.repeat(40), size: 0 }, ...entries];
      url.searchParams.set('cursor', String(from + this.pageSize));
      const next = from + this.pageSize < all.length ? { link: `<${url.href}>; rel="next"` } : {};
      response.writeHead(200, { 'content-type': 'application/json', ...next });
      response.end(JSON.stringify(all.slice(from, from + this.pageSize)));
      return;
    }
    const name = decodeURIComponent(path!);
    if (repository.gatedFor && token !== repository.gatedFor) {
      refuse(403, 'GatedRepo', `Access to model ${id} is restricted`);
      return;
    }
    const content = repository.files[name];
    if (content === undefined) {
      refuse(404, 'EntryNotFound', 'Entry not found');
      return;
    }
    const { oid, lfs: large } = entryOf(name, bytesOf(content));
    const headers = { etag: `"${oid}"`, 'x-repo-commit': commit };
    if (large) {
      response.writeHead(302, {
        ...headers,
        'x-linked-etag': `"${large.oid}"`,
        'x-linked-size': String(large.size),
        location: `${addressOf(this.#storage)}/lfs/${encodeURIComponent(id!)}/${encodeURIComponent(name)}`,
      });
      response.end();
    } else {
      this.#body(request, response, name, bytesOf(content), headers);
    }
  }

  #send(request: IncomingMessage, response: ServerResponse): void {
    this.#note(request, 'storage');
    const [, id, path] = /^\/lfs\/([^/]+)\/([^/]+)$/.exec(request.url!)!;
    const name = decodeURIComponent(path!);
    this.#body(request, response, name, bytesOf(this.repositories.get(decodeURIComponent(id!))!.files[name]!), {});
  }

  #body(request: IncomingMessage, response: ServerResponse, name: string, right: Uint8Array, headers: object): void {
    const trouble = this.trouble.get(name);
    const active = trouble !== undefined && (trouble.times === undefined || trouble.times-- > 0);
    if (active && trouble.status) {
      response.writeHead(trouble.status).end('no');
      return;
    }
    const content = (active && trouble.wrong) || right;
    const [, start] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
    const from = trouble?.noRanges ? 0 : Number(start ?? 0);
    const rest = content.subarray(from);
    const part = from > 0 ? { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` } : {};
    response.writeHead(from > 0 ? 206 : 200, { ...headers, ...part, 'content-length': String(rest.length) });
    if (active && trouble.cutAfter !== undefined && trouble.cutAfter < rest.length) {
      response.write(rest.subarray(0, trouble.cutAfter), () =>
        setTimeout(() => response.destroy(), trouble.stall ?? 5),
      );
    } else {
      response.end(rest);
    }
  }
}

/** An entry of a listing. */
function entryOf(path: string, content: Uint8Array) {
  const git = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
  const large = { oid: createHash('sha256').update(content).digest('hex'), size: content.length, pointerSize: 130 };
  return { type: 'file', path, oid: git, size: content.length, ...(lfs(path) ? { lfs: large } : {}) };
}

async function listen(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  const server = createServer(handler);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return server;
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
