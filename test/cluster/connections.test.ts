import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../src/cli/program.ts';
import { type ClusterAddress, loginOf, withoutPassword } from '../../src/cluster/address.ts';
import { Bus } from '../../src/cluster/bus.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import { fakeHost } from '../cli/fake-host.ts';
import {
  collect,
  optionRows,
  quick,
  recordsOf,
  removeTemporary,
  temporaryFolder,
  tinyModel,
  writeRows,
} from '../train/tiny.ts';
import { Authority, hasOpenssl, Operator, userKey } from './accounts.ts';
import { NatsServer, natsServerProgram } from './nats.ts';

const program = natsServerProgram();
if (!hasOpenssl) console.warn('SKIPPED: the tests of TLS need openssl');

/** Milliseconds for a server that says nothing final, and for one that does: no test ends before they are over. */
const [little, forever] = [500, 3_600_000];

/** What connecting comes to: nothing, or the words of the refusal. */
async function refusalOf(address: ClusterAddress, patience = forever): Promise<string | undefined> {
  try {
    const bus = await Bus.connect(address, 'test', { patience });
    await bus.close();
    return undefined;
  } catch (error) {
    expect((error as Error).message).not.toContain('\n');
    return (error as Error).message;
  }
}

const launcher = fileURLToPath(new URL('../../bin/subzero.mjs', import.meta.url));

describe('URLs', () => {
  const shown: [string, string][] = [
    ['nats://alice:secret@10.0.0.1:4222', 'nats://10.0.0.1:4222'],
    ['tls://secret@[::1]:4222', 'tls://[::1]:4222'],
    ['nats://alice:sec@ret@a:1, tls://b', 'nats://a:1,tls://b'],
    ['alice:sec/ret@10.0.0.1', 'nats://10.0.0.1'],
    ['https://alice:secret@10.0.0.1', 'the URL of the cluster'],
    ['nats://alice:secret@10.0.0.1:port', 'the URL of the cluster'],
    ['nats://alice:sec%ret@10.0.0.1', 'the URL of the cluster'],
  ];
  test.each(shown)('%s is shown without its password', (url, expected) => {
    expect(withoutPassword(url)).toBe(expected);
  });

  test('user and password of a URL, percent-encoded or not; a token', async () => {
    const optionsOf = async (url: string, more: Partial<ClusterAddress> = {}) =>
      (await loginOf({ url, ...more })).options;
    expect(await optionsOf('nats://alice:p:a%2Fs@s@10.0.0.1:4222')).toEqual({
      ...{ servers: ['nats://10.0.0.1:4222'], user: 'alice', pass: 'p:a/s@s' },
    });
    expect(await optionsOf('nats://s3cret@a,nats://b')).toEqual({ servers: ['nats://a', 'nats://b'], token: 's3cret' });
    expect(await optionsOf('tls://a', { user: 'u', password: 'p' })).toEqual({
      ...{ servers: ['tls://a'], user: 'u', pass: 'p', tls: {} },
    });
    // The URL goes before what is beside it.
    expect(await optionsOf('nats://in:url@a', { user: 'u', password: 'p', token: 't' })).toMatchObject({ user: 'in' });
  });

  const wrong: [Partial<ClusterAddress>, RegExp][] = [
    [{ url: 'https://u:hidden@a' }, /begins with "https:\/\/"; expected nats/],
    [{ url: 'nats://a,nats://u:hidden@' }, /URL 2 of the cluster names no host and port/],
    [{ url: 'nats://u:hidden@a,nats://v:hidden@b' }, /have one user and password; the URL has two/],
    [{ credentials: '/nowhere/hidden.creds' }, /\/nowhere\/hidden\.creds cannot be read: ENOENT/],
    [{ credentials: launcher }, /subzero\.mjs has not NATS credentials/],
    [{ nkey: launcher }, /subzero\.mjs has not the seed of a user's nkey/],
    [{ ca: launcher }, /subzero\.mjs is no PEM file with a certificate/],
    [{ certificate: launcher }, /given together; the key is missing/],
    [{ credentials: launcher, nkey: launcher }, /leave the nkey out/],
  ];
  test.each(wrong)('%j is refused in a line', async (given, expected) => {
    const error = (await loginOf({ url: 'nats://a', ...given }).catch((reason: unknown) => reason)) as Error;
    expect(error.message).toMatch(expected);
    expect(error.message.replaceAll('/nowhere/hidden.creds', '')).not.toContain('hidden');
  });
});

/** What an account's user needs to lead runs, and to work for them: as docs/cluster.md has it. */
const leads =
  '{ publish: ["subzero.>", "$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "$KV.subzero_leases.>", "$KV.subzero_epochs.>", ' +
  '"$O.subzero_files.>", "_INBOX.>"], subscribe: ["subzero.answer.*", "_INBOX.>"] }';
const works =
  '{ publish: ["subzero.answer.*", "$JS.API.INFO", "$JS.API.STREAM.INFO.>", "$JS.API.STREAM.MSG.GET.>", ' +
  '"$JS.API.DIRECT.GET.>", "$JS.API.CONSUMER.>", "$JS.ACK.>", "$JS.FC.>"], subscribe: ["_INBOX.>"] }';

describe.skipIf(program === undefined)('logins', () => {
  const key = userKey();
  let server: NatsServer;
  const at = (login: string): string => `nats://${login}@${server.place}`;

  beforeAll(async () => {
    server = await NatsServer.start(
      program!,
      temporaryFolder(),
      `accounts {
        RUNS {
          jetstream: enabled
          users: [
            { user: alice, password: "p:a/s@s" }
            { nkey: ${key.name} }
            { user: leader, password: leader, permissions: ${leads} }
            { user: helper, password: helper, permissions: ${works} }
            { user: mute, password: mute, permissions: { publish: { deny: "$JS.API.STREAM.INFO.>" } } }
            { user: deaf, password: deaf, permissions: { subscribe: { deny: "_INBOX.>" } } }
            { user: idle, password: idle, permissions: { publish: { deny: "$JS.API.CONSUMER.MSG.NEXT.>" } } }
          ]
        }
        PLAIN { users: [{ user: bob, password: bob }] }
        FEW { jetstream: { max_streams: 3 }, users: [{ user: few, password: few }] }
      }`,
    );
  });
  afterAll(async () => {
    await server.stop();
    removeTemporary();
  });

  test('a password with signs of URLs, an nkey, one of two servers', async () => {
    expect(await refusalOf({ url: at('alice:p:a%2Fs@s') })).toBeUndefined();
    expect(await refusalOf({ url: server.url, user: 'alice', password: 'p:a/s@s' })).toBeUndefined();
    expect(await refusalOf({ url: `nats://127.0.0.1:9,${at('alice:p:a/s@s')}` })).toBeUndefined();
    const file = join(temporaryFolder(), 'user.nk');
    writeFileSync(file, `# alice's\n${key.seed}\n`);
    expect(await refusalOf({ url: server.url, nkey: file })).toBeUndefined();
  });

  const refused: [string, string, RegExp][] = [
    ['a wrong password', 'alice:wr0ng', /127\.0\.0\.1:\d+ does not let user "alice" in \('?Authorization Violation/],
    ['a token that is none', 'wr0ng', /does not let this token in/],
    ['an account without JetStream', 'bob:bob', /gives no JetStream to user "bob".*enable that for the account/],
    [
      'no leave to ask for streams',
      'mute:mute',
      /does not let user "mute" publish to "\$JS\.API\.STREAM\.INFO\.subzero_journals"; docs\/cluster\.md/,
    ],
    ['no leave for replies', 'deaf:deaf', /does not let user "deaf" subscribe to "_INBOX\..*"/],
    ['too few streams', 'few:few', /refuses: maximum number of streams reached; raise the limits of streams/],
  ];
  test.each(refused)('%s: refused by name', async (_, login, expected) => {
    // A server without JetStream may be one that is starting.
    const refusal = await refusalOf({ url: at(login) }, login.startsWith('bob') ? little : forever);
    expect(refusal).toMatch(expected);
    expect(refusal).not.toContain('wr0ng');
  });

  test('the key of somebody else', async () => {
    const file = join(temporaryFolder(), 'other.nk');
    writeFileSync(file, userKey().seed);
    expect(await refusalOf({ url: server.url, nkey: file })).toMatch(/does not let the nkey of .*other\.nk in/);
  });

  test('nobody at all', async () => {
    expect(await refusalOf({ url: server.url })).toMatch(/does not let a client without user and password in/);
  });

  test('a denied subject that is used later ends what goes on, and is named', async () => {
    const bus = await Bus.connect({ url: at('idle:idle') }, 'test');
    try {
      await bus.openQueue('run', 30);
      const failed = new Promise<Error>((resolve) => bus.onFailure(resolve));
      bus.tasks('run', 30).room = 1;
      expect((await failed).message).toMatch(/publish to "\$JS\.API\.CONSUMER\.MSG\.NEXT\.subzero_tasks\.run"/);
      expect(() => bus.check()).toThrow(/user "idle"/);
      await expect(bus.lastEntry('run')).rejects.toThrow(/user "idle"/);
    } finally {
      await bus.close();
    }
  });

  test('leader and worker with the leave that the documentation gives them: the bits of one process', async () => {
    const documented = readFileSync(new URL('../../docs/cluster.md', import.meta.url), 'utf8').replaceAll(/\s+/g, ' ');
    for (const permissions of [leads, works]) expect(documented).toContain(permissions);
    const engine = await LocalEngine.open();
    const model = tinyModel();
    const file = writeRows(optionRows());
    const request = { model, data: { file }, configuration: { ...quick, shards: 4 } };
    const [out, alone] = [join(temporaryFolder(), 'shared'), join(temporaryFolder(), 'alone')];
    const stop = new AbortController();
    let joined = false;
    const working = (async () => {
      for await (const event of engine.work({ url: at('helper:helper'), models: [model] }, stop.signal)) {
        joined ||= event.type === 'joined';
      }
    })();
    try {
      const messages: string[] = [];
      // A worker's user may make nothing; the leader has.
      const cluster = { url: at('leader:leader'), deadline: 5, snapshotEvery: 5 };
      for await (const event of engine.train({ ...request, out, cluster })) {
        if (event.type === 'message') messages.push(event.message);
        if (event.type === 'step' && event.step === 1) for (let at = 0; at < 200 && !joined; at++) await sleep(50);
      }
      expect(joined).toBe(true);
      expect(messages.filter((each) => /leader:|no snapshot|cannot be/.test(each))).toEqual([]);
      expect(messages.join('\n')).toMatch(/takes part/);
      stop.abort();
      await working;
      await collect(engine.train({ ...request, out: alone }));
      expect(await recordsOf(out)).toEqual(await recordsOf(alone));
    } finally {
      stop.abort();
      await working.catch(() => {});
      await engine.close();
    }
  });

  test('a password is in no event and no file of a run', async () => {
    const out = join(temporaryFolder(), 'run');
    const engine = await LocalEngine.open();
    const configuration = { ...quick, steps: 2, shards: 2 };
    const cluster = { url: at('alice:p:a%2Fs@s') };
    const request = { model: tinyModel(), data: { file: writeRows(optionRows()) }, configuration, out, cluster };
    const events = JSON.stringify(await collect(engine.train(request)));
    await engine.close();
    expect(events).toContain(`the cluster at nats://${server.place} trains this`);
    const files = readdirSync(out, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
    expect(files.length).toBeGreaterThan(2);
    const texts = files.map((each) => readFileSync(join(each.parentPath, each.name), 'latin1'));
    for (const text of [events, ...texts]) expect(text).not.toMatch(/p:a|%2Fs|s@s/);
  });

  test('what a command prints to go on with has no password', async () => {
    const bus = await Bus.connect({ url: at('alice:p:a%2Fs@s') }, 'test');
    // The variables of NATS's own command line are read.
    const host = fakeHost({ environment: { NATS_URL: server.url, NATS_USER: 'alice', NATS_PASSWORD: 'p:a/s@s' } });
    const runs = (await bus.runs()).filter((run) => !run.startsWith('shared'));
    await bus.close();
    const out = join(temporaryFolder(), 'fetched');
    expect(await runProgram(['cluster', 'fetch', '--run', runs[0]!, '--out', out], host)).toBe(0);
    expect(host.out.text).toContain(`--cluster nats://${server.place}\n`);
  });
});

describe.skipIf(program === undefined)('users by JWT', () => {
  let operator: Operator;
  let server: NatsServer;

  beforeAll(async () => {
    operator = new Operator();
    server = await NatsServer.start(program!, temporaryFolder(), operator.configuration);
  });
  afterAll(async () => {
    await server.stop();
    removeTemporary();
  });

  test('a credentials file; one of another operator; one that has expired', async () => {
    const folder = temporaryFolder();
    const write = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    expect(await refusalOf({ url: server.url, credentials: write('a.creds', operator.credentials()) })).toBeUndefined();
    const other = write('b.creds', new Operator().credentials());
    expect(await refusalOf({ url: server.url, credentials: other })).toMatch(/does not let the user of .*b\.creds in/);
    const old = write('c.creds', operator.credentials(-10));
    expect(await refusalOf({ url: server.url, credentials: old })).toMatch(/does not let the user of .*c\.creds in/);
  });

  test('credentials that expire: replaced on the disk the connection goes on, else it ends and says so', async () => {
    const lineOf = async (kind: 'kept' | 'replaced'): Promise<string> => {
      const file = join(temporaryFolder(), `${kind}.creds`);
      writeFileSync(file, operator.credentials(4));
      const bus = await Bus.connect({ url: server.url, credentials: file }, kind);
      const failed = new Promise<string>((resolve) => bus.onFailure(({ message }) => resolve(message)));
      const back = new Promise<string>((resolve) => bus.onReturn(() => resolve('')));
      if (kind === 'replaced') writeFileSync(file, operator.credentials());
      const line = await Promise.race([failed, ...(kind === 'replaced' ? [back] : [])]);
      if (kind === 'replaced') expect(await bus.lastEntry('nothing')).toBeUndefined();
      await bus.close();
      return line;
    };
    const [replaced, kept] = await Promise.all([lineOf('replaced'), lineOf('kept')]);
    expect(replaced).toBe('');
    expect(kept).toMatch(/does not let the user of .*kept\.creds in/);
  });
});

describe.skipIf(program === undefined || !hasOpenssl)('TLS', () => {
  let authority: Authority;
  let server: NatsServer;
  let first: NatsServer;
  let old: NatsServer;
  let elsewhere: NatsServer;
  let plain: NatsServer;

  beforeAll(async () => {
    authority = new Authority(temporaryFolder());
    const listening = (made: { certificate: string; key: string }, more = ''): string =>
      `authorization { token: t0ken }
       tls { cert_file: "${made.certificate}", key_file: "${made.key}", ca_file: "${authority.file}" ${more} }`;
    const start = (configuration: string) => NatsServer.start(program!, temporaryFolder(), configuration);
    const sound = authority.sign('server');
    server = await start(listening(sound, ', verify: true'));
    first = await start(listening(sound, ', handshake_first: true'));
    old = await start(listening(authority.sign('old', { days: 0 })));
    elsewhere = await start(listening(authority.sign('elsewhere', { names: 'DNS:nats.example' })));
    plain = await start('');
  }, 30_000);
  afterAll(async () => {
    for (const each of [server, first, old, elsewhere, plain]) await each.stop();
    removeTemporary();
  });

  const at = ({ place }: NatsServer): string => `tls://t0ken@${place}`;

  test('own authority and a certificate of ours; TLS before any word', async () => {
    const ca = authority.file;
    expect(await refusalOf({ url: at(server), ca, ...authority.sign('worker') })).toBeUndefined();
    expect(await refusalOf({ url: at(first), ca, tlsFirst: true })).toBeUndefined();
  });

  test('every fault of a certificate is named', async () => {
    const ca = authority.file;
    const ours = authority.sign('ours');
    expect(await refusalOf({ url: at(server), ...ours })).toMatch(/by an authority that is not trusted .*--cluster-ca/);
    const stranger = new Authority(temporaryFolder()).sign('stranger');
    // The client is told nothing of this before its patience is over.
    const shows = (shown: object) => refusalOf({ url: at(server), ca, ...shown }, little);
    const unknown = await Promise.all([{}, stranger].map(shows));
    for (const line of unknown) expect(line).toMatch(/asks for this machine's certificate.*--cluster-certificate/);
    expect(await refusalOf({ url: at(old), ca })).toMatch(/its certificate has expired/);
    expect(await refusalOf({ url: at(elsewhere), ca })).toMatch(/its certificate is for other names/);
    // A token is not sent to a server that cannot keep it from others.
    expect(await refusalOf({ url: at(plain) })).toMatch(/it has no TLS; name it by nats:\/\//);
    expect(await refusalOf({ url: `tls://wrong@${server.place}`, ca, ...ours })).toMatch(/does not let this token in/);
  });

  test.each([false, true])('several servers that are named by addresses (TLS first: %s)', async (tlsFirst) => {
    const one = tlsFirst ? first : server;
    const shown = { ca: authority.file, ...authority.sign('several'), tlsFirst };
    for (const url of [`tls://t0ken@[::1]:9,tls://${one.place}`, `tls://t0ken@${one.place},tls://[::1]:9`]) {
      expect(await refusalOf({ url, ...shown })).toBeUndefined();
    }
    const url = `tls://t0ken@[::1]:9,tls://${elsewhere.place}`;
    if (!tlsFirst) expect(await refusalOf({ url, ...shown })).toMatch(/its certificate is for other names/);
  });

  test('a certificate that is replaced while the server is away', async () => {
    const { certificate, key } = authority.sign('renewed');
    const bus = await Bus.connect({ url: at(server), ca: authority.file, certificate, key }, 'test');
    const back = new Promise<void>((resolve) => bus.onReturn(resolve));
    await server.stop();
    rmSync(certificate);
    authority.sign('renewed');
    await server.start();
    await back;
    expect(await bus.lastEntry('nothing')).toBeUndefined();
    await bus.close();
  });
});
