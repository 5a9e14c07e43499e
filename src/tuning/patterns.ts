/**
 * Choosing parameters by name: `*` stands for any text, a `!` in front leaves out.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { parameter, words } from '../words.ts';

/** Names that a message shows. */
const namesShown = 6;

/**
 * The names that patterns choose. The last pattern that fits a name decides; a name that none fits is chosen if the
 * first pattern leaves out, or if there is no pattern.
 *
 * @param names of the model's parameters, as in the checkpoint
 * @param patterns such as `*.self_attn.*` or `!*.bias`
 * @param setting the setting that they come from, for messages
 * @returns the chosen names in the order of `names`
 * @throws SubzeroError `invalid_argument` for a pattern that fits no name, and where nothing is chosen
 */
export function selectNames(names: readonly string[], patterns: readonly string[], setting: string): string[] {
  const rules = patterns.map((pattern) => {
    const exclude = pattern.startsWith('!');
    const glob = exclude ? pattern.slice(1) : pattern;
    if (!names.some((name) => fits(name, glob))) {
      throw new SubzeroError(
        'invalid_argument',
        words`${parameter(setting)}: no parameter of the model fits "${pattern}"; there are ${listed(names)}`,
        { parameter: setting },
      );
    }
    return { exclude, glob };
  });
  const otherwise = rules[0]?.exclude ?? true;
  const chosen = names.filter((name) => {
    const rule = rules.findLast(({ glob }) => fits(name, glob));
    return rule ? !rule.exclude : otherwise;
  });
  if (chosen.length > 0) return chosen;
  throw new SubzeroError(
    'invalid_argument',
    words`${parameter(setting)}: ${patterns.join(', ')} leaves no parameter to train`,
    {
      parameter: setting,
    },
  );
}

/** Whether a name fits a pattern. Without regular expressions, whose time an awkward pattern could make unbounded. */
function fits(name: string, pattern: string): boolean {
  const [start, ...rest] = pattern.split('*') as [string, ...string[]];
  const end = rest.pop();
  if (end === undefined) return name === start;
  if (!name.startsWith(start) || !name.endsWith(end)) return false;
  let at = start.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= name.length - end.length;
}

/** Some names, spread over all of them. */
function listed(names: readonly string[]): string {
  if (names.length <= namesShown) return names.join(', ');
  const some = Array.from({ length: namesShown }, (_, i) => names[Math.floor((i * names.length) / namesShown)]!);
  return `${some.join(', ')}, … (${names.length} in all)`;
}
