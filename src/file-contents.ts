/**
 * What stands in a file in place of what should: downloads leave pointers, error pages and halves behind.
 *
 * @module
 */

/** Bytes of a file's beginning that tell what it is. */
export const tellingBytes = 1024;

const again = 'download the file again';

/** Beginnings of files, without white space and byte order mark in front, in lower case. */
const beginnings: readonly { pattern: RegExp; what: string; todo: string }[] = [
  {
    pattern: /^version https:\/\/git-lfs\.github\.com\/spec\//,
    what: 'a Git LFS pointer and not the file that it stands for',
    todo: 'run `git lfs pull` in its folder, or download the file itself',
  },
  {
    pattern: /^(<!doctype html|<html|<head\b|<body\b)/,
    what: 'an HTML page, as a web site answers for an error or a login',
    todo: `${again} from an address that gives the file itself (on Hugging Face /resolve/, not /blob/)`,
  },
  { pattern: /^(<\?xml|<error>)/, what: 'an XML document, as storage services answer for an error', todo: again },
  {
    pattern: /^((entry |repository )?not found|404\b|invalid username or password|access denied|access to model)/,
    what: 'the answer to a failed download',
    todo: `${again}, with a token where the model asks for one`,
  },
];

/** Beginnings in bytes of files of other kinds. */
const signatures: readonly { bytes: readonly number[]; what: string; todo: string }[] = [
  { bytes: [0x50, 0x4b, 3, 4], what: 'a ZIP archive, as PyTorch saves weights', todo: 'convert it to safetensors' },
  { bytes: [0x80, 2, 0x8a, 0x0a], what: 'weights pickled by PyTorch', todo: 'convert it to safetensors' },
  {
    bytes: [0x47, 0x47, 0x55, 0x46],
    what: 'a GGUF file',
    todo: 'give it as the model itself, under a name that ends in .gguf',
  },
  { bytes: [0x1f, 0x8b], what: 'compressed with gzip', todo: 'unpack it' },
];

/** Keys of which documents about errors have one, and those that may stand beside it. */
const errorKeys = ['error', 'errors', 'message', 'detail', 'details'];
const besideErrorKeys = [
  'status',
  'statusCode',
  'code',
  'type',
  'success',
  'documentation_url',
  'requestId',
  'request_id',
];

/**
 * Says what a file is that should be another, and what to do about it; `undefined` where that cannot be told.
 *
 * @param beginning the first {@link tellingBytes} of the file, or all of it if it is shorter
 */
export function tellForeignFile(beginning: Uint8Array): string | undefined {
  if (beginning.length === 0) return `is empty; ${again}`;
  if (beginning.length >= 8 && beginning.every((byte) => byte === 0)) {
    return `begins with zeros only, as a download that was not finished; ${again}`;
  }
  const text = new TextDecoder().decode(beginning).trimStart();
  const known =
    beginnings.find(({ pattern }) => pattern.test(text.toLowerCase())) ??
    signatures.find(({ bytes }) => bytes.every((byte, index) => beginning[index] === byte));
  if (known) return `is ${known.what}; ${known.todo}`;
  if (text.startsWith('{') && isErrorDocument(parsed(text))) {
    return `is a JSON document about an error: ${shortened(text)}; ${again}`;
  }
  return undefined;
}

/** Says of a text that is no valid JSON, and no file of another kind, whether its end is missing. */
export function tellCutJson(text: string): string | undefined {
  const trimmed = text.trim();
  const isCut = /^[{[]/.test(trimmed) && trimmed.at(-1) !== (trimmed[0] === '{' ? '}' : ']');
  return isCut ? `it ends in the middle, after ${text.length} characters; ${again}` : undefined;
}

/** Whether an object says that something failed, and nothing else. */
function isErrorDocument(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const keys = Object.keys(value);
  // A tokenizer_config.json may say nothing but how to decode what is not UTF-8.
  if ('errors' in value && typeof value.errors === 'string') return false;
  return (
    keys.some((key) => errorKeys.includes(key)) &&
    keys.every((key) => errorKeys.includes(key) || besideErrorKeys.includes(key))
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function shortened(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > 120 ? `${line.slice(0, 117)}…` : line;
}
