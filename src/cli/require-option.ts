import { environmentName } from './option.ts';
import { UsageError } from './usage-error.ts';

/** The value of an option that a command cannot do without. */
export function requireOption<Value>(value: Value | undefined, command: string, form: string): Value {
  if (value !== undefined) return value;
  const name = form.split(' ', 1)[0]!;
  throw new UsageError(`${command} needs --${form}`, {
    parameter: name,
    hint: `or ${environmentName(name)} in the environment; "subzero ${command} --help" lists all options`,
  });
}
