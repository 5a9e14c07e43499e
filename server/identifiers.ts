/**
 * Random names for files, jobs, requests and completions, in the style of OpenAI's: a prefix and 24 letters or digits.
 *
 * @module
 */

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Bytes at or above this are drawn again, so that every character is equally likely. */
const firstBiasedByte = 256 - (256 % alphabet.length);

/** A fresh identifier such as `file-Xq3…` (142 random bits). */
export function createIdentifier(prefix: string): string {
  let body = '';
  while (body.length < 24) {
    for (const byte of crypto.getRandomValues(new Uint8Array(32))) {
      if (byte < firstBiasedByte && body.length < 24) body += alphabet[byte % alphabet.length];
    }
  }
  return prefix + body;
}

/** Seconds since 1970, the time stamp of OpenAI's objects. */
export function unixTime(): number {
  return Math.floor(Date.now() / 1000);
}
