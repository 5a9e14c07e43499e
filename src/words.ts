/**
 * Texts that name parameters, each of which is called as its reader knows it: `evaluateEvery` is `--evaluate-every`
 * on the command line and `evaluate_every` in a request. Who writes such a text marks the names; who shows it says
 * how they are called.
 *
 * @module
 */

/** A parameter in a text, by its name in the configuration. */
export interface ParameterName {
  readonly parameter: string;
}

/** A text in pieces. Plain data, which survives `postMessage`. */
export type Words = readonly (string | ParameterName)[];

/** Marks a name inside {@link words}. */
export function parameter(name: string): ParameterName {
  return { parameter: name };
}

/**
 * A template literal with marked names, words`${parameter('sides')} must be 2`, or with other texts of this kind in
 * it.
 */
export function words(
  literals: TemplateStringsArray,
  ...values: readonly (string | number | ParameterName | Words)[]
): Words {
  return literals.flatMap((literal, index) => {
    const value = values[index];
    if (value === undefined) return [literal];
    if (typeof value === 'object' && !('parameter' in value)) return [literal, ...value];
    return [literal, typeof value === 'number' ? String(value) : value];
  });
}

/** The text. @param nameOf what a parameter is called; its name in the configuration by default */
export function wording(text: Words, nameOf: (parameter: string) => string = (name) => name): string {
  return text.map((piece) => (typeof piece === 'string' ? piece : nameOf(piece.parameter))).join('');
}
