/**
 * Numbers and names for people.
 *
 * @module
 */

/** `72.4` s → `1:12`; from an hour on `2:03:09`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] === 0 ? parts.slice(1) : parts;
  return shown.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, '0'))).join(':');
}

/** `6291456` → `6.0 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** `6GiB` → `6442450944`; also KB, MiB, a bare number of bytes. NaN for anything else. */
export function parseBytes(text: string): number {
  const [, number, prefix = '', binary] = /^(\d+(?:\.\d+)?)\s*(?:([kmgt])?(i)?b)?$/i.exec(text.trim()) ?? [];
  if (number === undefined || (binary && !prefix)) return Number.NaN;
  const power = ['', 'k', 'm', 'g', 't'].indexOf(prefix.toLowerCase());
  return Math.round(Number(number) * (binary ? 1024 : 1000) ** power);
}

/** `8530.4` → `8,530`. */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** `0.12346` → `0.1235`. Zeros have no minus, which `toFixed` writes before what it rounds to 0. */
export function formatFixed(value: number, digits = 4): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace('-', '') : text;
}

/** `1` → `1 step`, `2` → `2 steps`. */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** A word of a command that can be copied into a POSIX shell: quoted where it has to be. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A name in camel case as the wire and event files spell it: `rewardMargin` is `reward_margin`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
