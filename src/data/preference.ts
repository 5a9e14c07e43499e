/**
 * Rows of preferences: an answer that was chosen and one that was rejected, as TRL and OpenAI have them.
 *
 * @module
 */

import type { ChatMessage } from '../tokenizer/chat-messages.ts';
import { type ChatRenderer, readConversation, readMessage, readTools, type Turn } from './conversation.ts';
import { type Example, joinAnswer } from './example.ts';
import { parsedList, type Row, recordField, recordsField, rowError, show, textField } from './row.ts';

/** Renders the conversations of preferences. */
interface PreferenceReading {
  chat: ChatRenderer | undefined;
}

const sides = ['chosen', 'rejected'] as const;

/**
 * A row of TRL: `chosen` and `rejected` as texts or as messages, with the `prompt` (or `messages`) of both in front of
 * them or, where there is none, within them.
 */
export function readPreference(row: Row, reading: PreferenceReading): Example | Promise<Example> {
  const [chosen, rejected] = sides.map((side) => Array.isArray(parsedList(row.value[side])));
  if (chosen !== rejected) throw rowError(row, '"chosen" and "rejected" must be two texts or two lists of messages');
  if (chosen) return readTurns(row, reading);
  const given = 'messages' in row.value ? 'messages' : 'prompt';
  if (!Array.isArray(parsedList(row.value[given]))) return readTexts(row);
  const answers = sides.map((side): Turn[] => {
    const message: ChatMessage = { role: 'assistant', content: textField(row, side) };
    return [{ message, learnt: true }];
  });
  return conversation(row, turnsOf(row, given), answers, readTools(row), reading);
}

/** A row of OpenAI: `input` with messages and tools, `preferred_output` and `non_preferred_output`. */
export function readOpenAiPreference(row: Row, reading: PreferenceReading): Promise<Example> {
  const input = recordField(row, 'input');
  const known = ['messages', 'tools', 'parallel_tool_calls'];
  const unknown = Object.keys(input.value).find((field) => !known.includes(field));
  if (unknown !== undefined) {
    throw rowError(row, `unknown field "${unknown}" of "input"; known are ${known.join(', ')}`);
  }
  const answers = ['preferred_output', 'non_preferred_output'].map((side) => turnsOf(row, side));
  return conversation(row, turnsOf(input, 'messages'), answers, readTools(input), reading);
}

function turnsOf(row: Row, field: string): Turn[] {
  return recordsField(row, field).map(readMessage);
}

function readTexts(row: Row): Example {
  if ('messages' in row.value) throw rowError(row, `expected a list in "messages"; got ${show(row.value.messages)}`);
  const texts = sides.map((side) => textField(row, side)) as [string, string];
  checkDifferent(row, texts);
  if ('prompt' in row.value) {
    const prompt = textField(row, 'prompt');
    return preference(
      prompt,
      texts.map((text) => joinAnswer(prompt, text)),
    );
  }
  const shared = sharedWords(...texts);
  return preference(
    texts[0].slice(0, shared),
    texts.map((text) => text.slice(shared)),
  );
}

/** Messages that begin alike, and differ in the last one, hold their prompt; others follow on that of the row. */
function readTurns(row: Row, reading: PreferenceReading): Promise<Example> {
  const lists = sides.map((side) => recordsField(row, side));
  const turns = lists.map((list) => list.map(readMessage)) as [Turn[], Turn[]];
  const [chosen, rejected] = turns;
  const tools = readTools(row);
  if (chosen[0]?.message.role !== 'assistant' || rejected[0]?.message.role !== 'assistant') {
    let shared = 0;
    const most = Math.min(chosen.length, rejected.length) - 1;
    while (shared < most && JSON.stringify(chosen[shared]) === JSON.stringify(rejected[shared])) shared++;
    return conversation(
      row,
      chosen.slice(0, shared),
      turns.map((list) => list.slice(shared)),
      tools,
      reading,
    );
  }
  if ('messages' in row.value) return conversation(row, turnsOf(row, 'messages'), turns, tools, reading);
  if ('prompt' in row.value && Array.isArray(parsedList(row.value.prompt))) {
    return conversation(row, turnsOf(row, 'prompt'), turns, tools, reading);
  }
  throw rowError(row, 'messages in "chosen" and "rejected" need those before them: in "prompt", or in both lists');
}

/** The same prompt with either answer, as the model's chat template writes them. */
async function conversation(
  row: Row,
  prompt: readonly Turn[],
  answers: readonly (readonly Turn[])[],
  tools: readonly object[],
  { chat }: PreferenceReading,
): Promise<Example> {
  for (const answer of answers) {
    if (answer.length !== 1 || answer[0]!.message.role !== 'assistant') {
      const roles = answer.map(({ message }) => message.role);
      throw rowError(row, `each answer must be one message of the assistant's; got messages of ${show(roles)}`);
    }
  }
  if (prompt.length === 0) throw rowError(row, 'there is no message before the answers');
  const [chosen, rejected] = await Promise.all(
    answers.map((answer) => readConversation(row, [...prompt, ...answer], { chat, learn: 'last', tools })),
  );
  if (chosen!.prompt !== rejected!.prompt) {
    throw rowError(
      row,
      "the model's chat template writes what is before the answers differently for each of them; " +
        'use rows of prompt, chosen and rejected that are texts',
    );
  }
  const texts = [chosen!.completion!, rejected!.completion!] as const;
  checkDifferent(row, texts);
  return { ...preference(chosen!.prompt, texts), isRendered: true };
}

function preference(prompt: string, options: readonly string[]): Example {
  return { prompt, options: [...options], label: 0, preference: true };
}

function checkDifferent(row: Row, [chosen, rejected]: readonly [string, string]): void {
  if (chosen !== rejected) return;
  throw rowError(row, `the chosen and the rejected answer are the same: ${show(chosen)}; there is nothing to prefer`);
}

/** How long the beginning is that two texts share, up to white space that both answers then begin with. */
function sharedWords(one: string, other: string): number {
  let length = 0;
  while (length < Math.min(one.length, other.length) && one[length] === other[length]) length++;
  // An answer of nothing cannot be learnt.
  length = Math.min(length, one.trimEnd().length - 1, other.trimEnd().length - 1);
  while (length > 0 && !/\s/.test(one[length]!)) length--;
  while (length > 0 && /\s/.test(one[length - 1]!)) length--;
  return length;
}
