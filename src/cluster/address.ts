/**
 * How a NATS server is named and what it is shown to let us in: as NATS's own command line and clients have it.
 *
 * @module
 */

import type { Authenticator, ConnectionOptions } from '@nats-io/nats-core';
import { SubzeroError } from '../errors.ts';
import { checkServerIdentity, readFile } from '../platform/index.ts';

/** How the server is reached. */
export interface ClusterAddress {
  /** `nats://[user:password@]host:port` or `tls://…`; several servers of one cluster with commas between them. */
  url: string;
  /** A NATS credentials file: a user's JWT with the seed of its key. */
  credentials?: string;
  /** A file with the seed of a user's key. */
  nkey?: string;
  /** User and password, or a token, where the URL has none. */
  user?: string;
  password?: string;
  token?: string;
  /** A PEM file with the certificates of the authorities that the server's certificate is trusted by. */
  ca?: string;
  /** PEM files with the certificate and its key that are shown to the server. */
  certificate?: string;
  key?: string;
  /** Begins TLS before the server has said anything (`handshake_first` in its configuration). */
  tlsFirst?: boolean;
  /** What subjects and streams begin with; letters, digits, `-` and `_`. */
  prefix?: string;
}

/** A URL of one server, in parts. */
interface Server {
  tls: boolean;
  /** `host:port`, or `host`. */
  place: string;
  login: { user: string; password: string } | { token: string } | undefined;
}

/** User and password of a URL may have any character but a comma; what decodes to one is written as %2C. */
function serverOf(text: string, index: number): Server {
  const refuse = (problem: string): never => {
    // A password may be anywhere in what cannot be read, so it is not shown.
    const which = index === 0 ? 'the URL of the cluster' : `URL ${index + 1} of the cluster`;
    throw new SubzeroError('invalid_argument', `${which} ${problem}; expected nats://[user:password@]host:port`, {
      parameter: 'cluster',
    });
  };
  const [, scheme = 'nats', rest] = /^(?:([a-z]+):\/\/)?(.*)$/i.exec(text.trim())!;
  if (!/^(nats|tls)$/i.test(scheme)) return refuse(`begins with "${scheme}://"`);
  const at = rest!.lastIndexOf('@');
  const place = rest!.slice(at + 1).replace(/\/$/, '');
  if (!/^(\[[0-9a-f:.%]+\]|[^\s:/?#[\]]+)(:\d{1,5})?$/i.test(place)) return refuse('names no host and port');
  const server = { tls: scheme.toLowerCase() === 'tls', place };
  if (at < 0) return { ...server, login: undefined };
  const words = rest!.slice(0, at);
  const colon = words.indexOf(':');
  const decoded = (word: string): string => {
    try {
      return decodeURIComponent(word);
    } catch {
      return refuse('has a "%" in user or password that is not written as %25');
    }
  };
  if (colon < 0) return { ...server, login: { token: decoded(words) } };
  return { ...server, login: { user: decoded(words.slice(0, colon)), password: decoded(words.slice(colon + 1)) } };
}

function serversOf(url: string): Server[] {
  return url.split(',').map(serverOf);
}

/** A URL as it may be shown, without user and password. */
export function withoutPassword(url: string): string {
  try {
    return serversOf(url)
      .map(({ tls, place }) => `${tls ? 'tls' : 'nats'}://${place}`)
      .join(',');
  } catch {
    return 'the URL of the cluster';
  }
}

/** What a connection is made with. */
export interface Login {
  options: Pick<ConnectionOptions, 'servers' | 'authenticator' | 'user' | 'pass' | 'token' | 'tls'>;
  /** Who we are, for messages: `user "alice"`. */
  who: string;
  /** Reads files with secrets anew, as they may have been replaced by others that are valid for longer. */
  refresh(): Promise<void>;
}

/**
 * Reads the files that an address names.
 * @throws SubzeroError `invalid_argument`, `not_found` or `invalid_data` that names the file, never what is in it
 */
export async function loginOf(address: ClusterAddress): Promise<Login> {
  const servers = serversOf(address.url);
  const logins = new Set(servers.flatMap(({ login }) => (login ? [JSON.stringify(login)] : [])));
  if (logins.size > 1) {
    throw new SubzeroError('invalid_argument', 'the servers of a cluster have one user and password; the URL has two', {
      parameter: 'cluster',
    });
  }
  const tls = await tlsOf(address, servers);
  const { options, who, refresh } = await identityOf(address, servers.find(({ login }) => login)?.login);
  const places = servers.map((server) => `${server.tls ? 'tls' : 'nats'}://${server.place}`);
  return { options: { servers: places, ...options, ...(tls ? { tls } : {}) }, who, refresh };
}

/** Who we say that we are: by a file, else by the URL, else by user and password beside it. */
async function identityOf(
  { credentials, nkey, user, password, token }: ClusterAddress,
  inUrl: Server['login'],
): Promise<{ options: Partial<Login['options']>; who: string; refresh(): Promise<void> }> {
  if (credentials !== undefined && nkey !== undefined) {
    throw new SubzeroError('invalid_argument', 'a credentials file has a key of its own; leave the nkey out', {
      parameter: 'clusterNkey',
    });
  }
  if (credentials !== undefined) return await identityOfFile(credentials, 'credentials');
  if (nkey !== undefined) return await identityOfFile(nkey, 'nkey');
  const login = inUrl ?? (token !== undefined ? { token } : userOf(user, password));
  const refresh = async (): Promise<void> => {};
  if (login === undefined) return { options: {}, who: 'a client without user and password', refresh };
  if ('token' in login) return { options: { token: login.token }, who: 'this token', refresh };
  return { options: { user: login.user, pass: login.password }, who: `user "${login.user}"`, refresh };
}

/** As everywhere in NATS, a user without a password is a token. */
function userOf(user: string | undefined, password: string | undefined): Server['login'] {
  if (user === undefined) return undefined;
  return password === undefined ? { token: user } : { user, password };
}

async function identityOfFile(file: string, kind: 'credentials' | 'nkey') {
  const { credsAuthenticator, nkeyAuthenticator } = await import('@nats-io/nats-core');
  const parameter = kind === 'nkey' ? 'clusterNkey' : 'clusterCredentials';
  const read = async (): Promise<Authenticator> => {
    const text = await fileOf(file, parameter);
    const bytes = (words: string): Uint8Array => new TextEncoder().encode(words);
    const seed = /\bSU[A-Z2-7]{56}\b/.exec(text)?.[0] ?? '';
    const made = kind === 'nkey' ? nkeyAuthenticator(bytes(seed)) : credsAuthenticator(bytes(text));
    try {
      if (seed === '') throw new Error('no seed');
      made('nonce');
    } catch {
      const expected =
        kind === 'nkey'
          ? "the seed of a user's nkey (SU…)"
          : "NATS credentials: a user's JWT and the seed of its nkey, as nsc writes them";
      throw new SubzeroError('invalid_data', `${file} has not ${expected}`, { parameter });
    }
    return made;
  };
  let current = await read();
  return {
    options: { authenticator: (nonce?: string) => current(nonce) },
    who: kind === 'nkey' ? `the nkey of ${file}` : `the user of ${file}`,
    // One that cannot be read now may be in the middle of being replaced.
    refresh: async () => void (current = await read().catch(() => current)),
  };
}

/** What TLS is done with; nothing where the server may go without. Files are read anew by every connection. */
async function tlsOf(
  { ca, certificate, key, tlsFirst }: ClusterAddress,
  servers: readonly Server[],
): Promise<NonNullable<ConnectionOptions['tls']> | undefined> {
  if ((certificate === undefined) !== (key === undefined)) {
    const missing = key === undefined ? 'clusterKey' : 'clusterCertificate';
    throw new SubzeroError(
      'invalid_argument',
      `a certificate and its key are given together; ${key === undefined ? 'the key' : 'the certificate'} is missing`,
      { parameter: missing },
    );
  }
  const files = { clusterCa: ca, clusterCertificate: certificate, clusterKey: key };
  for (const [parameter, file] of Object.entries(files)) {
    if (file === undefined || /-----BEGIN [A-Z ]+-----/.test(await fileOf(file, parameter))) continue;
    const what = parameter === 'clusterKey' ? 'private key' : 'certificate';
    throw new SubzeroError('invalid_data', `${file} is no PEM file with a ${what}`, { parameter });
  }
  const named = ca !== undefined || certificate !== undefined || tlsFirst === true;
  if (!named && !servers.some(({ tls }) => tls)) return undefined;
  const hosts = servers.map(({ place }) => place.replace(/:\d+$/, '').replaceAll(/[[\]]/g, ''));
  const addresses = hosts.filter((host) => /^(\d+(\.\d+){3}|.*:.*)$/.test(host));
  // The client has no name for a server that is named by its address, and has its certificate compared with
  // "localhost"; which of several addresses it is at is not told.
  const check = (name: string, certificate: object): Error | undefined => {
    const names = name === 'localhost' ? [...addresses, ...(hosts.includes(name) ? [name] : [])] : [name];
    const problems = names.map((each) => checkServerIdentity(each, certificate));
    return problems.includes(undefined) ? undefined : problems[0];
  };
  return {
    ...(addresses.length === 0 ? {} : { checkServerIdentity: check }),
    ...(ca === undefined ? {} : { caFile: ca }),
    ...(certificate === undefined ? {} : { certFile: certificate, keyFile: key! }),
    ...(tlsFirst ? { handshakeFirst: true } : {}),
  };
}

async function fileOf(file: string, parameter: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new SubzeroError('not_found', `${file} cannot be read: ${(error as Error).message}`, {
      parameter,
      cause: error,
    });
  }
}
