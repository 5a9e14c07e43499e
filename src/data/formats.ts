/**
 * The row formats of a training file in JSON Lines, told apart by the fields that a row has.
 *
 * @module
 */

import type { ChatMessage } from '../engine/types.ts';
import { SubzeroError } from '../errors.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { type Example, joinAnswer } from './example.ts';
import { type Row, recordsField, rowError, show, stringField, textField } from './row.ts';

/** Renders chats; only the chat formats need it. */
export type ChatRenderer = Pick<Tokenizer, 'renderChat'>;

export interface Format {
  name: string;
  kind: 'options' | 'completion';
  /** What a row looks like, for error texts. */
  shape: string;
  /** Fields that a row must have to be of this format. */
  fields: readonly string[];
  read(row: Row, chat: ChatRenderer | undefined): Example | Promise<Example>;
}

/** The first whose fields a row has is the row's format. */
export const formats: readonly Format[] = [
  {
    name: 'options',
    kind: 'options',
    shape: '{"prompt", "options": [...], "label": index or option}',
    fields: ['prompt', 'options'],
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
  },
  {
    name: 'messages',
    kind: 'completion',
    shape: '{"messages": [{"role", "content"}, ...]}',
    fields: ['messages'],
    read: (row, chat) => readChat(row, recordsField(row, 'messages').map(readMessage), chat),
  },
  {
    name: 'sharegpt',
    kind: 'completion',
    shape: '{"conversations": [{"from", "value"}, ...]}',
    fields: ['conversations'],
    read: (row, chat) => readChat(row, recordsField(row, 'conversations').map(readTurn), chat),
  },
  {
    name: 'alpaca',
    kind: 'completion',
    shape: '{"instruction", "input" (optional), "output"}',
    fields: ['instruction', 'output'],
    read: readAlpaca,
  },
  {
    name: 'text',
    kind: 'completion',
    shape: '{"text"}',
    fields: ['text'],
    read: (row) => ({ prompt: '', completion: textField(row, 'text') }),
  },
];

/** Pairs of fields that say two different things about what is to be learnt. */
const contradictions: readonly (readonly [string, string])[] = [
  ['options', 'completion'],
  ['completion', 'label'],
  ['text', 'label'],
  ['text', 'prompt'],
  ['text', 'completion'],
  ['messages', 'prompt'],
  ['messages', 'conversations'],
];

const expectedShapes = formats.map((format) => format.shape).join('; ');

/**
 * The format of a row.
 * @throws SubzeroError `invalid_data` that lists the formats if the row has none, or contradicts itself
 */
export function detectFormat(row: Row): Format {
  for (const [one, other] of contradictions) {
    if (one in row.value && other in row.value) {
      throw rowError(row, `a row cannot have both "${one}" and "${other}"; expected one of ${expectedShapes}`);
    }
  }
  const format = formats.find(({ fields }) => fields.every((field) => field in row.value));
  if (format !== undefined) return format;
  throw rowError(row, `unknown row with fields ${show(Object.keys(row.value))}; expected one of ${expectedShapes}`);
}

function readOptions(row: Row): Example {
  const prompt = stringField(row, 'prompt');
  const { options, label } = row.value;
  const isList = Array.isArray(options) && options.every((option) => typeof option === 'string' && option !== '');
  if (!isList || options.length < 2 || new Set(options).size !== options.length) {
    throw rowError(row, `"options" must be a list of at least two different texts; got ${show(options)}`);
  }
  // The option's text goes first: with options "0" and "1", the label "1" means the text.
  const named = options.indexOf(label as string);
  const index = named !== -1 ? named : Number.isInteger(label) && options[label as number] !== undefined ? label : -1;
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

function readAlpaca(row: Row): Example {
  const instruction = textField(row, 'instruction');
  const input = row.value.input === undefined ? '' : stringField(row, 'input');
  const prompt =
    input.trim() === ''
      ? 'Below is an instruction that describes a task. Write a response that appropriately completes the request.' +
        `\n\n### Instruction:\n${instruction}\n\n### Response:\n`
      : 'Below is an instruction that describes a task, paired with an input that provides further context. ' +
        'Write a response that appropriately completes the request.' +
        `\n\n### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:\n`;
  return { prompt, completion: textField(row, 'output') };
}

/** A message of the OpenAI format; content is a text or a list of text parts. */
function readMessage(row: Row): ChatMessage {
  const { content } = row.value;
  const text = Array.isArray(content)
    ? recordsField(row, 'content')
        .map((part) => textField(part, 'text'))
        .join('')
    : stringField(row, 'content');
  const name = row.value.name === undefined ? {} : { name: stringField(row, 'name') };
  return { role: textField(row, 'role'), content: text, ...name };
}

const roleOfSpeaker: Readonly<Record<string, string>> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  assistant: 'assistant',
  system: 'system',
};

/** A turn of the ShareGPT format. */
function readTurn(row: Row): ChatMessage {
  const speaker = stringField(row, 'from');
  const role = Object.hasOwn(roleOfSpeaker, speaker) ? roleOfSpeaker[speaker] : undefined;
  if (role === undefined) {
    throw rowError(row, `"from" must be one of ${Object.keys(roleOfSpeaker).join(', ')}; got ${show(speaker)}`);
  }
  return { role, content: stringField(row, 'value') };
}

/** A conversation as the model's template writes it; what is learnt is the last message, the assistant's. */
async function readChat(row: Row, messages: ChatMessage[], chat: ChatRenderer | undefined): Promise<Example> {
  if (messages.at(-1)?.role !== 'assistant') {
    throw rowError(
      row,
      `the last message must be the assistant's, since it is what is learnt; got role ${show(messages.at(-1)?.role)}`,
    );
  }
  if (chat === undefined) throw rowError(row, 'a conversation needs the chat template of a model');
  let prompt: string;
  let whole: string;
  try {
    prompt = await chat.renderChat(messages.slice(0, -1), { addGenerationPrompt: true });
    whole = await chat.renderChat(messages);
  } catch (error) {
    if (!(error instanceof SubzeroError)) throw error;
    throw new SubzeroError(error.code, `${row.source}: ${error.message}`, { parameter: row.source, cause: error });
  }
  if (!whole.startsWith(prompt) || whole.length === prompt.length) {
    throw rowError(
      row,
      "the model's chat template writes the conversation differently with and without its last message, " +
        'so the answer cannot be told from the prompt; use rows of prompt and completion',
    );
  }
  return { prompt, completion: whole.slice(prompt.length), isRendered: true };
}
