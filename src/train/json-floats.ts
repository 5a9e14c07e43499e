/**
 * JSON whose numbers keep how they are written.
 *
 * @module
 */

/** What the text of a kept number begins with while it is a value; no configuration has such strings. */
const mark = '\u0000number:';

/**
 * The value of a JSON text, to be changed and written by `writeKept`. A number that JavaScript would write in another
 * form, such as 1.0, which Python tells from 1, stands in it as a marked string.
 */
export function parseKept(text: string): unknown {
  const kept = text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) =>
    token.startsWith('"') || String(Number(token)) === token ? token : JSON.stringify(mark + token),
  );
  return JSON.parse(kept);
}

/** The JSON text of a value, with the numbers that `parseKept` has marked as they were. */
export function writeKept(value: unknown): string {
  const text = JSON.stringify(value, null, 2);
  return text.replaceAll(/"\\u0000number:([^"]*)"/g, '$1');
}
