/**
 * The shapes that a line of a training file may have, and the check of one line.
 *
 * @module
 */

type Example = Record<string, unknown>;

interface ExampleFormat {
  name: string;
  /** Whether the fields that are there make it this format. */
  matches(example: Example): boolean;
  /** What is wrong with it, if anything. */
  problem(example: Example): string | undefined;
}

const isText = (value: unknown): value is string => typeof value === 'string';

function textFields(example: Example, ...names: string[]): string | undefined {
  const wrong = names.find((name) => !isText(example[name]));
  return wrong && `"${wrong}" must be a string, not ${describe(example[wrong])}`;
}

function describe(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}

function turns(value: unknown, field: string, roleKey: string, textKey: string, roles: string[]): string | undefined {
  if (!Array.isArray(value) || value.length === 0) return `"${field}" must be a non-empty array`;
  for (const [index, turn] of value.entries()) {
    if (typeof turn !== 'object' || turn === null) return `"${field}[${index}]" must be an object`;
    const { [roleKey]: role, [textKey]: text } = turn as Example;
    if (!isText(role) || !roles.includes(role)) {
      return `"${field}[${index}].${roleKey}" must be one of ${roles.join(', ')}; got ${JSON.stringify(role)}`;
    }
    if (!isText(text)) return `"${field}[${index}].${textKey}" must be a string, not ${describe(text)}`;
  }
  return undefined;
}

/** In the order in which they are tried. */
const formats: ExampleFormat[] = [
  {
    name: 'messages',
    matches: (example) => 'messages' in example,
    problem: ({ messages }) => {
      const wrong = turns(messages, 'messages', 'role', 'content', ['system', 'developer', 'user', 'assistant']);
      if (wrong) return wrong;
      const answered = (messages as { role: string }[]).some(({ role }) => role === 'assistant');
      return answered ? undefined : '"messages" needs at least one message with role "assistant" to learn from';
    },
  },
  {
    name: 'conversations',
    matches: (example) => 'conversations' in example,
    problem: ({ conversations }) =>
      turns(conversations, 'conversations', 'from', 'value', ['system', 'human', 'gpt', 'user', 'assistant']),
  },
  {
    name: 'prompt, options, label',
    matches: (example) => 'options' in example || ('label' in example && !('completion' in example)),
    problem: (example) => {
      const { options, label } = example;
      const wrong = textFields(example, 'prompt');
      if (wrong) return wrong;
      if (!Array.isArray(options) || options.length < 2 || !options.every(isText)) {
        return '"options" must be an array of at least two strings';
      }
      if (new Set(options).size !== options.length) return '"options" must not repeat';
      const known = isText(label)
        ? options.includes(label)
        : Number.isInteger(label) && (label as number) >= 0 && (label as number) < options.length;
      return known
        ? undefined
        : `"label" must be one of the options or its position 0 to ${options.length - 1}; got ${JSON.stringify(label)}`;
    },
  },
  {
    name: 'prompt, completion',
    matches: (example) => 'prompt' in example || 'completion' in example,
    problem: (example) => {
      const wrong = textFields(example, 'prompt', 'completion');
      return wrong ?? (example.completion === '' ? '"completion" must not be empty' : undefined);
    },
  },
  {
    name: 'instruction, output',
    matches: (example) => 'instruction' in example,
    problem: (example) => textFields(example, 'instruction', 'output', ...('input' in example ? ['input'] : [])),
  },
  {
    name: 'text',
    matches: (example) => 'text' in example,
    problem: (example) => textFields(example, 'text') ?? (example.text === '' ? '"text" must not be empty' : undefined),
  },
];

/** What is accepted, for messages. */
export const formatNames = formats.map(({ name }) => `{${name}}`).join(', ');

/**
 * Checks one line of a training file.
 * @param line without its line end
 * @returns the name of its format, or what is wrong with it
 */
export function checkExample(line: string): { format: string } | { problem: string } {
  let example: unknown;
  try {
    example = JSON.parse(line);
  } catch (error) {
    return { problem: `is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (typeof example !== 'object' || example === null || Array.isArray(example)) {
    return { problem: `must be a JSON object, not ${describe(example)}` };
  }
  const format = formats.find(({ matches }) => matches(example as Example));
  if (!format) {
    const fields = Object.keys(example).slice(0, 8).join(', ') || 'none';
    return { problem: `has none of the known sets of fields ${formatNames}; its fields are: ${fields}` };
  }
  const problem = format.problem(example as Example);
  return problem ? { problem } : { format: format.name };
}
