/**
 * Conversations as rows have them, from their messages to a text with the parts of it that are learnt.
 *
 * Learnt are the assistant's turns (OpenAI, TRL): all of them whose `weight` is not 0, or with `last` the last turn
 * alone. A turn is what the chat template writes between the opening of the assistant's turn (the generation prompt,
 * which is not learnt) and the end of the message (the token that ends the turn is learnt).
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { ChatMessage, ToolCall } from '../tokenizer/chat-messages.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { checkToolHistory } from '../tokenizer/tool-history.ts';
import type { Example, Learn } from './example.ts';
import { isRecord, makeRow, type Row, recordsField, rowError, show, stringField, textField } from './row.ts';

/** Renders chats; only the chat formats need it. */
export type ChatRenderer = Pick<Tokenizer, 'renderChat'> & Partial<Pick<Tokenizer, 'renderBeginnings'>>;

/** A message and whether it may be learnt. */
export interface Turn {
  message: ChatMessage;
  learnt: boolean;
}

/** Fields of a message that say nothing of its text; OpenAI's clients write them into what they hand back. */
const ignoredMessageFields = ['annotations', 'parsed', 'id'];
const readMessageFields = ['role', 'content', 'name', 'weight', 'tool_calls', 'tool_call_id', 'reasoning_content'];

/** A message of the OpenAI format; content is a text or a list of text parts. */
export function readMessage(row: Row): Turn {
  const role = textField(row, 'role');
  const { value } = row;
  if ('function_call' in value || role === 'function') {
    throw rowError(
      row,
      '"function_call" and the role "function" are not supported; write "tool_calls" and the role "tool"',
    );
  }
  for (const field of ['refusal', 'audio'] as const) {
    if (field in value) throw rowError(row, `"${field}" of a message is not supported; got ${show(value[field])}`);
  }
  const unknown = Object.keys(value).find((key) => ![...readMessageFields, ...ignoredMessageFields].includes(key));
  if (unknown !== undefined) {
    throw rowError(row, `unknown field "${unknown}" of a message; known are ${readMessageFields.join(', ')}`);
  }
  const calls = Array.isArray(value.tool_calls) && value.tool_calls.length === 0 ? undefined : value.tool_calls;
  if (calls !== undefined && role !== 'assistant') throw rowError(row, `"tool_calls" of the role ${show(role)}`);
  const content = Array.isArray(value.content)
    ? recordsField(row, 'content')
        .map((part) => textField(part, 'text'))
        .join('')
    : value.content === undefined && calls !== undefined
      ? ''
      : stringField(row, 'content');
  const optional = (name: 'name' | 'tool_call_id' | 'reasoning_content') =>
    name in value ? { [name]: stringField(row, name) } : {};
  return {
    message: {
      role,
      content,
      ...optional('name'),
      ...optional('tool_call_id'),
      ...optional('reasoning_content'),
      ...(calls === undefined ? {} : { tool_calls: recordsField(row, 'tool_calls').map(readToolCall) }),
    },
    learnt: readWeight(row, role) === 1,
  };
}

/** OpenAI's `weight` of an assistant message, 1 by default; others are never learnt and have none. */
function readWeight(row: Row, role: string): 0 | 1 {
  const { weight } = row.value;
  if (weight === undefined) return role === 'assistant' ? 1 : 0;
  if (role !== 'assistant')
    throw rowError(row, `"weight" is for assistant messages; this one has the role ${show(role)}`);
  if (weight !== 0 && weight !== 1) throw rowError(row, `"weight" must be 0 or 1; got ${show(weight)}`);
  return weight;
}

/** A call of a tool; its arguments are an object, or one as JSON text, which is how OpenAI writes them. */
function readToolCall(row: Row): ToolCall {
  const { type = 'function', function: called, id } = row.value;
  if (type !== 'function' || !isRecord(called)) {
    throw rowError(
      row,
      `a tool call must be {"type": "function", "function": {"name", "arguments"}}; got ${show(row.value)}`,
    );
  }
  const name = stringField({ value: called, source: row.source }, 'name');
  return {
    ...(typeof id === 'string' ? { id } : {}),
    type: 'function',
    function: { name, arguments: parseObject(row, called.arguments ?? {}, 'arguments') },
  };
}

function parseObject(row: Row, given: unknown, name: string): object {
  let value = given;
  if (typeof value === 'string') {
    try {
      value = JSON.parse(value);
    } catch {
      throw rowError(row, `"${name}" must be JSON; got ${show(given)}`);
    }
  }
  if (typeof value !== 'object' || value === null)
    throw rowError(row, `"${name}" must be an object; got ${show(given)}`);
  return value;
}

/** The tools beside the messages of a row: a list, or one as JSON text. */
export function readTools(row: Row): object[] {
  if ('functions' in row.value) throw rowError(row, '"functions" is not supported; write "tools"');
  const { tools } = row.value;
  if (tools === undefined || tools === '') return [];
  const list = parseObject(row, tools, 'tools');
  if (!Array.isArray(list) || !list.every(isRecord))
    throw rowError(row, `"tools" must be a list of objects; got ${show(tools)}`);
  return list;
}

const roleOfSpeaker: Readonly<Record<string, string>> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  assistant: 'assistant',
  function_call: 'assistant',
  system: 'system',
  tool: 'tool',
  observation: 'tool',
};

/** A turn of the ShareGPT format. */
function readSpeakerTurn(row: Row): Turn {
  const speaker = stringField(row, 'from');
  const role = Object.hasOwn(roleOfSpeaker, speaker) ? roleOfSpeaker[speaker] : undefined;
  if (role === undefined) {
    throw rowError(row, `"from" must be one of ${Object.keys(roleOfSpeaker).join(', ')}; got ${show(speaker)}`);
  }
  const unknown = Object.keys(row.value).find((key) => !['from', 'value', 'weight'].includes(key));
  if (unknown !== undefined) throw rowError(row, `unknown field "${unknown}" of a turn; known are from, value, weight`);
  const text = stringField(row, 'value');
  const called = speaker === 'function_call' ? parseObject(row, text, 'value') : undefined;
  const calls = called === undefined ? [] : Array.isArray(called) ? called : [called];
  return {
    message: {
      role,
      content: called === undefined ? text : '',
      ...(called === undefined
        ? {}
        : { tool_calls: calls.map((call) => readToolCall(makeRow({ function: call }, row.source))) }),
    },
    learnt: readWeight(row, role) === 1,
  };
}

/** The turns of a ShareGPT row, with the system prompt that may stand beside them. */
export function readSpeakers(row: Row): Turn[] {
  const turns = recordsField(row, 'conversations').map(readSpeakerTurn);
  if (!('system' in row.value) || row.value.system === '') return turns;
  if (turns[0]?.message.role === 'system')
    throw rowError(row, 'a system prompt in "system" and one in "conversations"');
  return [{ message: { role: 'system', content: stringField(row, 'system') }, learnt: false }, ...turns];
}

/** A conversation as the model's template writes it, up to the last turn that is learnt. */
export async function readConversation(
  row: Row,
  turns: readonly Turn[],
  { chat, learn, tools }: { chat: ChatRenderer | undefined; learn: Learn; tools: readonly object[] },
): Promise<Example> {
  const last = turns.length - 1;
  const lastRole = turns[last]?.message.role;
  if (lastRole !== 'assistant') {
    throw rowError(
      row,
      `the last message must be the assistant's, since it is what is learnt; got role ${show(lastRole)}`,
    );
  }
  const learnt = [...turns.keys()].filter((index) => turns[index]!.learnt && (learn === 'all' || index === last));
  if (learnt.length === 0) {
    throw rowError(
      row,
      `nothing is learnt: ${learn === 'all' ? 'every' : 'the last'} assistant message has "weight": 0`,
    );
  }
  if (chat === undefined) throw rowError(row, 'a conversation needs the chat template of a model');
  const messages = turns.map(({ message }) => message);
  const options = tools.length > 0 ? { tools } : {};
  // The conversation, then for each turn that is learnt what stands before it and, but for the last, what ends with it.
  const beginnings = [
    { count: messages.length, addGenerationPrompt: false },
    ...learnt.flatMap((index) => [
      { count: index, addGenerationPrompt: true },
      ...(index === last ? [] : [{ count: index + 1, addGenerationPrompt: false }]),
    ]),
  ];
  const [whole, ...parts] = (await renderAll(chat, messages, beginnings, options).catch((error) => {
    if (!(error instanceof SubzeroError)) throw error;
    throw new SubzeroError(error.code, `${row.source}: ${error.message}`, { parameter: row.source, cause: error });
  })) as [string, ...string[]];
  if (tools.length > 0 && whole === (await chat.renderChat(messages))) {
    throw rowError(row, 'the model\'s chat template leaves out "tools"');
  }
  await checkToolHistory(messages, (marked) => chat.renderChat(marked, options)).catch((error) => {
    throw error instanceof SubzeroError ? rowError(row, error.message) : error;
  });
  const spans: [start: number, end: number][] = [];
  for (const index of learnt) {
    const before = parts.shift()!;
    const after = index === last ? whole : parts.shift()!;
    if (whole.startsWith(after) && after.startsWith(before) && after.length > before.length) {
      const thought = messages[index]!.reasoning_content?.trim() ?? '';
      if (!after.slice(before.length).includes(thought)) {
        throw rowError(
          row,
          `the model's chat template leaves out "reasoning_content" of message ${index + 1}, which is learnt`,
        );
      }
      spans.push([before.length, after.length]);
      continue;
    }
    throw rowError(
      row,
      index === last
        ? "the model's chat template writes the conversation differently with and without its last message, " +
            'so the answer cannot be told from the prompt; use rows of prompt and completion'
        : `the model's chat template writes message ${index + 1} otherwise once others follow it, so that it cannot ` +
            'be learnt as it was answered; give "weight": 0 to all but the last assistant message, or train with ' +
            '--learn last',
    );
  }
  const start = spans[0]![0];
  const end = spans.at(-1)![1];
  return {
    prompt: whole.slice(0, start),
    completion: whole.slice(start, end),
    isRendered: true,
    ...(spans.length > 1 ? { spans: spans.map(([from, to]) => [from - start, to - start] as const) } : {}),
  };
}

async function renderAll(
  chat: ChatRenderer,
  messages: readonly ChatMessage[],
  beginnings: readonly { count: number; addGenerationPrompt: boolean }[],
  options: { tools?: readonly object[] },
): Promise<string[]> {
  if (chat.renderBeginnings) return chat.renderBeginnings(messages, beginnings, options);
  const texts: string[] = [];
  for (const { count, addGenerationPrompt } of beginnings) {
    texts.push(await chat.renderChat(messages.slice(0, count), { ...options, addGenerationPrompt }));
  }
  return texts;
}
