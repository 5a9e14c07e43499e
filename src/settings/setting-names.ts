/**
 * Settings in messages, called as the user calls them: `evaluateEvery` is `--evaluate-every` on the command line and
 * `evaluate_every` in a request.
 *
 * @module
 */

/**
 * @param message an error's text with settings under their names in the configuration
 * @param parameter the setting at fault, if the error names one
 * @param names by setting, as the user knows it
 */
export function renameSettings(
  message: string,
  parameter: string | undefined,
  names: Iterable<readonly [setting: string, name: string]>,
): string {
  let text = message;
  for (const [setting, name] of names) {
    // A setting of one word is a word like others, unless the message begins with it; in a path, a name is a part of that.
    const isWord = setting === setting.toLowerCase();
    if (isWord && setting !== parameter) continue;
    text = text.replace(new RegExp(`${isWord ? '^' : '(?<![\\w./-])'}${setting}(?![\\w/-])`, 'g'), name);
  }
  return text;
}
