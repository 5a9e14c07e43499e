import { afterAll, describe, expect, test } from 'vitest';
import type { ChatMessage, ToolCall } from '../../src/engine/types.ts';
import { closeChatTemplates, renderChatTemplate } from '../../src/tokenizer/chat-template.ts';
import { checkToolHistory } from '../../src/tokenizer/tool-history.ts';

afterAll(() => closeChatTemplates());

const plain = "{% for m in messages %}{{ '<' + m.role + '>' + m.content }}{% endfor %}";
const answersOnly = "{% for m in messages %}{% if m.role == 'tool' %}[{{ m.content }}]{% endif %}{% endfor %}";
const both =
  "{% for m in messages %}{{ '<' + m.role + '>' + m.content }}" +
  '{% for c in m.tool_calls or [] %}{{ c.function.name }}({{ c.function.arguments | tojson }}){% endfor %}{% endfor %}';
const users =
  "{% for m in messages %}{% if m.role in ['user', 'assistant'] %}{{ m.content }}{% for c in m.tool_calls or [] %}" +
  '{{ c.function.name }}{% endfor %}{% endif %}{% endfor %}';
const first =
  "{% for m in messages %}{% if m.role == 'tool' %}{{ m.content }}{% elif m.tool_calls %}" +
  '{{ m.tool_calls[0].function.name }}{% endif %}{% endfor %}';
const known =
  "{% for m in messages %}{% for c in m.tool_calls or [] %}{% if c.function.name != 'now' %}" +
  "{{ raise_exception('unknown tool') }}{% endif %}{{ c.function.name }}{% endfor %}{% endfor %}";

const call: ToolCall = { type: 'function', function: { name: 'now', arguments: { zone: 'UTC' } } };
const calling: ChatMessage = { role: 'assistant', content: '', tool_calls: [call] };
const callingTwice: ChatMessage = { ...calling, tool_calls: [call, call] };
const answering: ChatMessage = { role: 'tool', content: 'noon', tool_call_id: 'a' };
const asking: ChatMessage = { role: 'user', content: 'When?' };

async function check(template: string, messages: readonly ChatMessage[]): Promise<string> {
  const render = (others: readonly ChatMessage[]) => renderChatTemplate(template, { messages: others });
  const text = await render(messages);
  await checkToolHistory(messages, render);
  return text;
}

describe('a history of calls of tools', () => {
  test('passes where the template writes it', async () => {
    expect(await check(both, [asking, calling, answering])).toContain('now({"zone": "UTC"})<tool>noon');
    expect(await check(answersOnly, [asking, answering])).toBe('[noon]');
    expect(await check(plain, [asking])).toBe('<user>When?');
    expect(await check(first, [asking, calling, answering])).toBe('nownoon');
    expect(await check(known, [calling])).toBe('now');
  });

  test('is refused by name where it would be lost', async () => {
    for (const [template, messages, parameter] of [
      [plain, [asking, calling], 'messages.1.tool_calls.0'],
      [answersOnly, [calling, answering], 'messages.0.tool_calls.0'],
      [users, [asking, calling, answering], 'messages.2.content'],
      [first, [asking, callingTwice], 'messages.1.tool_calls.1'],
    ] as const) {
      await expect(check(template, messages)).rejects.toMatchObject({ code: 'unsupported', parameter });
    }
  });
});
