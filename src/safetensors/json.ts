/**
 * JSON without duplicate keys. `JSON.parse` keeps the last of two equal keys and says nothing; in a file of weights
 * that would let two programs read different tensors under one name.
 *
 * @module
 */

/** Shortens text of a file, which may be hostile, for use in a message. */
export function quote(text: unknown): string {
  const quoted = JSON.stringify(text) ?? String(text);
  return quoted.length <= 120 ? quoted : `${quoted.slice(0, 117)}…${quoted.at(-1)}`;
}

/**
 * Parses JSON and refuses an object that names a key twice.
 * @throws Error (a plain one, for the caller to put the file's name to) whose message says what is wrong.
 */
export function parseJsonWithUniqueKeys(text: string): unknown {
  const value: unknown = JSON.parse(text);
  checkUniqueKeys(text);
  return value;
}

/**
 * Walks over text that is known to be valid JSON, so that only strings and braces need a look. A loop and not a
 * regular expression: a string of many megabytes would exhaust the stack of the expression's matcher.
 */
function checkUniqueKeys(text: string): void {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{') {
      open.push(new Set());
    } else if (character === '}') {
      open.pop();
    } else if (character === '"') {
      const start = at;
      for (at++; text[at] !== '"'; at++) if (text[at] === '\\') at++;
      if (!isFollowedByColon(text, at + 1)) continue;
      const key = JSON.parse(text.slice(start, at + 1)) as string;
      const keys = open[open.length - 1]!;
      if (keys.has(key)) throw new Error(`the key ${quote(key)} appears twice in one object`);
      keys.add(key);
    }
  }
}

function isFollowedByColon(text: string, from: number): boolean {
  let at = from;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\t' || text[at] === '\r') at++;
  return text[at] === ':';
}
