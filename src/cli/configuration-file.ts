/**
 * Options from a JSON file: `{"learning-rate": 1e-6}` or `{"learningRate": 1e-6}`.
 *
 * @module
 */

import { readFileSync } from 'node:fs';
import { suggestion } from './nearest.ts';
import { camelCase, type OptionSpecification, type OptionValue } from './option.ts';
import { UsageError } from './usage-error.ts';
import { parseJson } from './values.ts';

/**
 * Reads and checks a configuration file.
 * @returns the values by the option's long name
 * @throws UsageError that names the file and the key
 */
export function readConfigurationFile(
  path: string,
  options: readonly OptionSpecification[],
): ReadonlyMap<string, OptionValue> {
  const content = parseObject(path);
  const byKey = new Map(options.flatMap((option) => [option.name, camelCase(option.name)].map((key) => [key, option])));
  const values = new Map<string, OptionValue>();
  for (const [key, value] of Object.entries(content)) {
    const option = byKey.get(key);
    if (!option) {
      const hint = suggestion(key, [...byKey.keys()]);
      throw new UsageError(`unknown key "${key}" in ${path}${hint}`, { parameter: key });
    }
    if (values.has(option.name)) {
      throw new UsageError(`${path} has both "${option.name}" and "${camelCase(option.name)}"; keep one`, {
        parameter: key,
      });
    }
    values.set(option.name, parseJson(option, value, `"${key}" in ${path}`));
  }
  return values;
}

function parseObject(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`the configuration file ${path} cannot be read: ${(error as Error).message}`, {
      parameter: 'config',
    });
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`the configuration file ${path} is not valid JSON: ${(error as Error).message}`, {
      parameter: 'config',
    });
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new UsageError(`the configuration file ${path} must hold one JSON object, such as {"steps": 300}`, {
      parameter: 'config',
    });
  }
  return content as Record<string, unknown>;
}
