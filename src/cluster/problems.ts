/**
 * What a NATS server's refusals mean for people, and which of them no waiting cures.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';

/** Whom a message is about. */
export interface Place {
  /** The servers, without passwords. */
  server: string;
  /** How this process has shown who it is. */
  who: string;
}

/** Codes of OpenSSL and Node for a certificate that is not trusted, and what to do. */
const certificates: readonly [codes: RegExp, problem: string][] = [
  [
    /^(UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT(_LOCALLY)?|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT)$/,
    'its certificate is signed by an authority that is not trusted here; name the file of its certificate ' +
      '(--cluster-ca)',
  ],
  [/^CERT_HAS_EXPIRED$/, "its certificate has expired; renew it, or set this machine's clock"],
  [/^CERT_NOT_YET_VALID$/, 'its certificate is not valid yet; set the clocks of both machines'],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    'its certificate is for other names; use one of them in the URL, or add this one to the certificate',
  ],
];

/** Errors of JetStream about room: storage, and limits in bytes of the account or a stream. */
const noRoom: ReadonlySet<number> = new Set([10023, 10028, 10047, 10077]);

/** Errors of JetStream about counts that an account or a stream may have: streams, consumers. */
const limits: ReadonlySet<number> = new Set([10026, 10027, 10002, 10025]);

/** JetStream gives these codes where a stream, or a consumer, is not there. */
export const streamNotFound = 10059;
const consumerNotFound = 10014;

/** An error and what it was caused by. */
function* chain(error: unknown): Generator<Error & { code?: unknown }> {
  for (let each = error, depth = 0; each instanceof Error && depth < 5; each = each.cause, depth++) yield each;
}

/** The number of JetStream's error. */
export function codeOf(error: unknown): number | undefined {
  for (const { code } of chain(error)) if (typeof code === 'number') return code;
  return undefined;
}

/** Whether a stream, a bucket or a consumer is not there, or nobody answers for it. */
export function isGone(error: unknown): boolean {
  const code = codeOf(error);
  if (code === streamNotFound || code === consumerNotFound) return true;
  for (const { name } of chain(error)) if (/^(NoRespondersError|StreamNotFoundError)$/.test(name)) return true;
  return false;
}

/** Whether the server does not let us in. */
export function isRefusal({ name }: Error): boolean {
  return name === 'AuthorizationError' || name === 'UserAuthenticationExpiredError';
}

/**
 * What is wrong for good: with who we are, what we may do, or what the server has room for.
 * @returns nothing where waiting may help
 */
export function lastingProblem(error: unknown, { server, who }: Place): SubzeroError | undefined {
  const at = `the NATS server at ${server}`;
  const made = (message: string): SubzeroError =>
    new SubzeroError('io', message, { parameter: 'cluster', cause: error });
  for (const each of chain(error)) {
    const { message, code } = each;
    if (isRefusal(each)) {
      return made(
        `${at} does not let ${who} in (${message}); check user and password, token, credentials file or nkey`,
      );
    }
    if (each.name === 'PermissionViolationError') {
      const { operation, subject } = each as unknown as { operation: string; subject: string };
      const what = operation === 'publish' ? 'publish to' : 'subscribe to';
      return made(`${at} does not let ${who} ${what} "${subject}"; docs/cluster.md has the subjects that it needs`);
    }
    if (/max_payload/i.test(message)) {
      return made(`${at} takes no message as long as this one: ${message}; raise its max_payload`);
    }
    if (typeof code === 'number') {
      if (noRoom.has(code)) {
        return made(
          `the NATS server has no room: ${message}; free some (subzero cluster remove), or raise its limits, then go ` +
            'on with the run',
        );
      }
      if (limits.has(code)) {
        return made(`${at} refuses: ${message}; raise the limits of streams and consumers of its account`);
      }
    }
  }
  return undefined;
}

/** Words of a server without JetStream. */
export const noJetStream = 'gives no JetStream';

/** Why TLS failed, where it was that. @param asked whether it was we who wanted it */
export function tlsProblem(error: unknown, asked: boolean): string | undefined {
  for (const each of chain(error)) {
    const { code, message } = each;
    const known = certificates.find(([codes]) => typeof code === 'string' && codes.test(code));
    if (known) return known[1];
    if (/does not support 'tls'/.test(message)) return 'it has no TLS; name it by nats://, or set TLS up there';
    // What the server says to a certificate comes when its side of TLS is done, and the client does not read it.
    if ((asked && each.name === 'TimeoutError') || /certificate required|bad certificate|unknown ca/i.test(message)) {
      return (
        "no word after that; where it asks for this machine's certificate, name one that it trusts " +
        '(--cluster-certificate, --cluster-key)'
      );
    }
  }
  return undefined;
}
