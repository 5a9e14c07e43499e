/**
 * What an operator of a NATS server makes: certificates, users of accounts by JWT. Everything is made anew by each run
 * of the tests, and trusted by nobody else.
 *
 * @module
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nkeys } from '@nats-io/nats-core';

const { createAccount, createOperator, createUser } = nkeys;
type KeyPair = ReturnType<typeof createUser>;

/** Whether certificates can be made here. */
export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

const opensslConfiguration = `
[ca]
default_ca = own
[own]
dir = .
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = any
copy_extensions = copy
email_in_dn = no
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:true
`;

/** An authority in a folder of its own, which signs certificates. */
export class Authority {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'openssl.cnf'), opensslConfiguration);
    writeFileSync(join(folder, 'index.txt'), '');
    writeFileSync(join(folder, 'serial'), '01');
    const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'ca.key'];
    const self = ['-x509', '-days', '2', '-extensions', 'authority', '-subj', '/CN=authority', '-out', 'ca.pem'];
    this.#run('req', ...made, ...self);
  }

  get file(): string {
    return join(this.#folder, 'ca.pem');
  }

  /**
   * Signs a certificate.
   * @param options.names as subjectAltName has them
   * @param options.days from yesterday on that it is valid for; one that has expired has 0
   */
  sign(name: string, { names = 'IP:127.0.0.1', days = 3 } = {}): { certificate: string; key: string } {
    const [certificate, key] = [`${name}.pem`, `${name}.key`];
    const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key];
    this.#run('req', ...made, '-subj', `/CN=${name}`, '-addext', `subjectAltName=${names}`, '-out', `${name}.csr`);
    const yesterday = Date.now() - 86_400_000;
    const stamp = (time: number): string => new Date(time).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
    const valid = ['-startdate', stamp(yesterday), '-enddate', stamp(yesterday + Math.max(days * 86_400_000, 1000))];
    const by = ['-cert', 'ca.pem', '-keyfile', 'ca.key', '-in', `${name}.csr`, '-out', certificate];
    this.#run('ca', '-batch', '-notext', ...valid, ...by);
    return { certificate: join(this.#folder, certificate), key: join(this.#folder, key) };
  }

  #run(command: string, ...parameters: string[]): void {
    const all = [command, '-config', 'openssl.cnf', ...parameters];
    const { status, stderr } = spawnSync('openssl', all, { cwd: this.#folder, encoding: 'utf8' });
    if (status !== 0) throw new Error(`openssl ${all.join(' ')}: ${stderr}`);
  }
}

function base64(bytes: Uint8Array | string): string {
  return Buffer.from(bytes).toString('base64url');
}

/** A claim as NATS has it, signed by whoever may make it. */
function signed(by: KeyPair, subject: string, name: string, nats: object, expires?: number): string {
  const now = Math.floor(Date.now() / 1000);
  const times = { iat: now, ...(expires === undefined ? {} : { exp: now + expires }) };
  const claim = { jti: `${name} ${now}`, ...times, iss: by.getPublicKey(), sub: subject, name, nats };
  const text = `${base64('{"typ":"JWT","alg":"ed25519-nkey"}')}.${base64(JSON.stringify(claim))}`;
  return `${text}.${base64(by.sign(new TextEncoder().encode(text)))}`;
}

/** A key of a user: its public name, and the seed for a file. */
export function userKey(): { name: string; seed: string } {
  const key = createUser();
  return { name: key.getPublicKey(), seed: new TextDecoder().decode(key.getSeed()) };
}

/** An operator with one account that has JetStream, whose users show JWTs. */
export class Operator {
  readonly #account = createAccount();
  readonly #operator = createOperator();
  readonly #system = createAccount();

  /** What a server is told of them. */
  get configuration(): string {
    const operator = { type: 'operator', version: 2, system_account: this.#system.getPublicKey() };
    const everything = {
      subs: -1,
      data: -1,
      payload: -1,
      imports: -1,
      exports: -1,
      conn: -1,
      leaf: -1,
      wildcards: true,
    };
    const stored = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
    const claims = (key: KeyPair, limits: object): string =>
      `${key.getPublicKey()}: ${signed(this.#operator, key.getPublicKey(), 'account', {
        ...{ type: 'account', version: 2, limits: { ...everything, ...limits } },
      })}`;
    return [
      `operator: ${signed(this.#operator, this.#operator.getPublicKey(), 'operator', operator)}`,
      'resolver: MEMORY',
      `resolver_preload: {\n${claims(this.#account, stored)}\n${claims(this.#system, {})}\n}`,
      '',
    ].join('\n');
  }

  /** A credentials file's text. @param expires seconds after which the server lets this user in no more */
  credentials(expires?: number): string {
    const { name, seed } = userKey();
    const limits = { type: 'user', version: 2, pub: {}, sub: {}, subs: -1, data: -1, payload: -1 };
    const jwt = signed(this.#account, name, 'user', limits, expires);
    return (
      `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n` +
      `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`
    );
  }
}
