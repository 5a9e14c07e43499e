/**
 * Local time as C's `strftime` writes it in the C locale.
 *
 * @module
 */

import { unsupported } from './errors.ts';

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const months = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September'].concat(
  'October',
  'November',
  'December',
);

/** @throws TemplateRuntimeError for a directive that is not known */
export function strftime(date: Date, format: string): string {
  const pad = (value: number, width = 2, fill = '0') => String(value).padStart(width, fill);
  const yearStart = new Date(date.getFullYear(), 0, 1);
  const midnight = new Date(date.getFullYear(), date.getMonth(), date.getDate());
  const dayOfYear = Math.round((midnight.getTime() - yearStart.getTime()) / 86_400_000);
  const weekday = date.getDay();
  const hour12 = date.getHours() % 12 || 12;
  const directives: Record<string, () => string> = {
    '%': () => '%',
    a: () => days[weekday]!.slice(0, 3),
    A: () => days[weekday]!,
    b: () => months[date.getMonth()]!.slice(0, 3),
    B: () => months[date.getMonth()]!,
    c: () => strftime(date, '%a %b %e %H:%M:%S %Y'),
    C: () => pad(Math.floor(date.getFullYear() / 100)),
    d: () => pad(date.getDate()),
    D: () => strftime(date, '%m/%d/%y'),
    e: () => pad(date.getDate(), 2, ' '),
    f: () => pad(date.getMilliseconds() * 1000, 6),
    F: () => strftime(date, '%Y-%m-%d'),
    h: () => months[date.getMonth()]!.slice(0, 3),
    H: () => pad(date.getHours()),
    I: () => pad(hour12),
    j: () => pad(dayOfYear + 1, 3),
    k: () => pad(date.getHours(), 2, ' '),
    l: () => pad(hour12, 2, ' '),
    m: () => pad(date.getMonth() + 1),
    M: () => pad(date.getMinutes()),
    n: () => '\n',
    p: () => (date.getHours() < 12 ? 'AM' : 'PM'),
    P: () => (date.getHours() < 12 ? 'am' : 'pm'),
    r: () => strftime(date, '%I:%M:%S %p'),
    R: () => strftime(date, '%H:%M'),
    S: () => pad(date.getSeconds()),
    t: () => '\t',
    T: () => strftime(date, '%H:%M:%S'),
    u: () => String(weekday || 7),
    U: () => pad(Math.floor((dayOfYear + 7 - weekday) / 7)),
    w: () => String(weekday),
    W: () => pad(Math.floor((dayOfYear + 7 - ((weekday + 6) % 7)) / 7)),
    x: () => strftime(date, '%m/%d/%y'),
    X: () => strftime(date, '%H:%M:%S'),
    y: () => pad(date.getFullYear() % 100),
    Y: () => String(date.getFullYear()),
    // A time without a zone, as Python's `datetime.now()` is, has neither name nor offset.
    z: () => '',
    Z: () => '',
  };
  return format.replace(/%(-?)([\s\S]?)/g, (whole, minus: string, letter: string) => {
    const directive = Object.hasOwn(directives, letter) ? directives[letter] : undefined;
    if (directive === undefined) throw unsupported(`the time format "${whole}"`);
    const text = directive();
    return minus ? text.replace(/^[0 ]+(?=.)/, '') : text;
  });
}
