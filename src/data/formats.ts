/**
 * The row formats of a training file in JSON Lines, told apart by the fields that a row has.
 *
 * @module
 */

import { type ChatRenderer, readConversation, readMessage, readSpeakers, readTools } from './conversation.ts';
import { type Example, type ExampleKind, joinAnswer, type Learn } from './example.ts';
import { maskedShapes } from './masked.ts';
import { readOpenAiPreference, readPreference } from './preference.ts';
import { parsedList, type Row, recordsField, rowError, show, stringField, textField } from './row.ts';

export interface Format {
  name: string;
  kind: ExampleKind;
  /** What a row looks like, for error texts. */
  shape: string;
  /** Fields that a row must have to be of this format. */
  fields: readonly string[];
  /** Fields that it reads besides, or that say nothing of what is learnt. */
  others?: readonly string[];
  read(row: Row, reading: Reading): Example | Promise<Example>;
  /** The answer that a generated text is compared with, where rows have one. */
  answer?(row: Row): string;
}

/** How rows are read. */
export interface Reading {
  chat: ChatRenderer | undefined;
  /** Which assistant turns of a conversation are learnt. */
  learn: Learn;
}

/** The first whose fields a row has is the row's format. */
export const formats: readonly Format[] = [
  {
    name: 'options',
    kind: 'options',
    shape: '{"prompt", "options": [...], "label": index or option}',
    fields: ['prompt', 'options'],
    others: ['label'],
    read: readOptions,
  },
  {
    name: 'completion',
    kind: 'completion',
    shape: '{"prompt", "completion"}',
    fields: ['prompt', 'completion'],
    read: (row) => {
      const prompt = stringField(row, 'prompt');
      return { prompt, completion: joinAnswer(prompt, textField(row, 'completion')) };
    },
    answer: (row) => stringField(row, 'completion'),
  },
  {
    name: 'preference',
    kind: 'preference',
    shape: '{"prompt" or "messages", "chosen", "rejected"}',
    fields: ['chosen', 'rejected'],
    others: ['prompt', 'messages', 'tools', 'functions'],
    read: readPreference,
  },
  {
    name: 'openai-preference',
    kind: 'preference',
    shape: '{"input": {"messages"}, "preferred_output", "non_preferred_output"}',
    fields: ['input', 'preferred_output', 'non_preferred_output'],
    read: readOpenAiPreference,
  },
  {
    name: 'messages',
    kind: 'completion',
    shape: '{"messages": [{"role", "content"}, ...]}',
    fields: ['messages'],
    others: ['tools', 'functions', 'parallel_tool_calls'],
    read: (row, reading) =>
      readConversation(row, recordsField(row, 'messages').map(readMessage), { ...reading, tools: readTools(row) }),
    answer: (row) => recordsField(row, 'messages').map(readMessage).at(-1)!.message.content,
  },
  {
    name: 'sharegpt',
    kind: 'completion',
    shape: '{"conversations": [{"from", "value"}, ...]}',
    fields: ['conversations'],
    others: ['system', 'tools', 'functions'],
    read: (row, reading) => readConversation(row, readSpeakers(row), { ...reading, tools: readTools(row) }),
    answer: (row) => readSpeakers(row).at(-1)!.message.content,
  },
  {
    name: 'alpaca',
    kind: 'completion',
    shape: '{"instruction", "input" (optional), "output"}',
    fields: ['instruction', 'output'],
    // Some tables hold the whole text once more.
    others: ['input', 'system', 'history', 'text'],
    read: readAlpaca,
    answer: (row) => stringField(row, 'output'),
  },
  {
    name: 'text',
    kind: 'completion',
    shape: '{"text"}',
    fields: ['text'],
    read: (row) => ({ prompt: '', completion: textField(row, 'text') }),
  },
];

/** The columns of a row that its format knows nothing of: numbers, sources and scores that tables carry along. */
export function unreadColumns(row: Row, { fields, others = [] }: Format): string[] {
  return Object.keys(row.value).filter((column) => !fields.includes(column) && !others.includes(column));
}

/** Pairs of fields that say two different things about what is to be learnt. */
export const contradictions: readonly (readonly [string, string])[] = [
  ['options', 'completion'],
  ['completion', 'label'],
  ['text', 'label'],
  ['text', 'prompt'],
  ['text', 'completion'],
  ['messages', 'prompt'],
  ['messages', 'conversations'],
  ['chosen', 'options'],
  ['chosen', 'completion'],
  ['chosen', 'text'],
];

const expectedShapes = formats.map((format) => format.shape).join('; ');

/**
 * The format of a row.
 * @throws SubzeroError `invalid_data` that lists the formats if the row has none, or contradicts itself
 */
export function detectFormat(row: Row): Format {
  const format = formats.find(({ fields }) => fields.every((field) => field in row.value));
  for (const [one, other] of contradictions) {
    // Tables of preferences hold a prompt, and the whole conversation once more.
    if (format?.others?.includes(one) && format.others.includes(other)) continue;
    if (one in row.value && other in row.value) {
      throw rowError(row, `a row cannot have both "${one}" and "${other}"; expected one of ${expectedShapes}`);
    }
  }
  if (format !== undefined) return format;
  throw rowError(
    row,
    `unknown row with fields ${show(Object.keys(row.value))}; expected one of ${expectedShapes}; ` +
      'or say which columns are which (columns, template, labels)',
  );
}

/**
 * Checks that a masked language model can learn from rows of a format.
 * @throws SubzeroError `invalid_data` that says what it learns from
 */
export function checkMasked(row: Row, { name, shape }: Format): void {
  if (name === 'options' || name === 'completion') return;
  throw rowError(row, `${maskedShapes}; this row is ${shape}`);
}

function readOptions(row: Row): Example {
  const prompt = stringField(row, 'prompt');
  const { label } = row.value;
  const options = parsedList(row.value.options);
  const isList = Array.isArray(options) && options.every((option) => typeof option === 'string' && option !== '');
  if (!isList || options.length < 2 || new Set(options).size !== options.length) {
    throw rowError(row, `"options" must be a list of at least two different texts; got ${show(options)}`);
  }
  // The option's text goes first: with options "0" and "1", the label "1" means the text.
  const named = options.indexOf(label as string);
  // Tables of text have numbers as texts.
  const number = typeof label === 'string' && /^\d+$/.test(label) ? Number(label) : label;
  const isIndex = Number.isInteger(number) && options[number as number] !== undefined;
  const index = named !== -1 ? named : isIndex ? number : -1;
  if (index === -1) {
    throw rowError(
      row,
      label === undefined
        ? 'no "label": expected the index or the text of the right option'
        : `label ${show(label)} is not among options ${show(options)} nor an index from 0 to ${options.length - 1}`,
    );
  }
  return { prompt, options: options.map((option) => joinAnswer(prompt, option)), label: index as number };
}

/** What stands before the parts of an Alpaca prompt where the row has no `system` of its own. */
const alpacaPreamble = {
  plain: 'Below is an instruction that describes a task. Write a response that appropriately completes the request.',
  withInput:
    'Below is an instruction that describes a task, paired with an input that provides further context. ' +
    'Write a response that appropriately completes the request.',
};

/**
 * An Alpaca row. `history` holds earlier pairs of instruction and response, which are learnt as turns of a conversation
 * are; `system` stands in place of the preamble.
 */
function readAlpaca(row: Row, { learn }: Reading): Example {
  const instruction = textField(row, 'instruction');
  const input = row.value.input === undefined ? '' : stringField(row, 'input');
  const system = row.value.system === undefined ? '' : stringField(row, 'system');
  const preamble =
    system.trim() !== '' ? system : input.trim() === '' ? alpacaPreamble.plain : alpacaPreamble.withInput;
  const question = (text: string): string => `\n\n### Instruction:\n${text}`;
  const answer = '\n\n### Response:\n';
  const context = input.trim() === '' ? '' : `\n\n### Input:\n${input}`;
  const output = textField(row, 'output');
  const earlier = readHistory(row);
  let text = preamble;
  const spans: [start: number, end: number][] = [];
  for (const [asked, answered] of earlier) {
    text += question(asked) + answer;
    spans.push([text.length, text.length + answered.length]);
    text += answered;
  }
  text += question(instruction) + context + answer;
  spans.push([text.length, text.length + output.length]);
  text += output;
  const learnt = learn === 'last' ? spans.slice(-1) : spans;
  const start = learnt[0]![0];
  return {
    prompt: text.slice(0, start),
    completion: text.slice(start),
    ...(learnt.length > 1 ? { spans: learnt.map(([from, to]) => [from - start, to - start] as const) } : {}),
  };
}

function readHistory(row: Row): [asked: string, answered: string][] {
  const history = row.value.history === '' ? [] : parsedList(row.value.history ?? []);
  const isPair = (pair: unknown): pair is [string, string] =>
    Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === 'string' && text !== '');
  if (!Array.isArray(history) || !history.every(isPair)) {
    throw rowError(row, `"history" must be a list of pairs [instruction, response]; got ${show(history)}`);
  }
  return history;
}
