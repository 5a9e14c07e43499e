import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { closeChatTemplates, renderChatTemplate } from '../../src/tokenizer/chat-template.ts';
import { loadTokenizer } from '../../src/tokenizer/index.ts';
import { sentencePiece, withFiles } from './definitions.ts';

const reviews = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
const endless =
  '{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}';

afterAll(closeChatTemplates);

describe('renderChat', () => {
  const messages = [
    { role: 'user', content: 'Is it good?' },
    { role: 'assistant', content: 'Yes.' },
  ];

  test('renders the template of a model', async () => {
    const tokenizer = await loadTokenizer(reviews);
    expect(tokenizer.hasChatTemplate).toBe(true);
    expect(await tokenizer.renderChat(messages)).toBe('<|user|>Is it good?<|assistant|>Yes.');
    expect(await tokenizer.renderChat(messages.slice(0, 1), { addGenerationPrompt: true })).toBe(
      '<|user|>Is it good?<|assistant|>',
    );
  });

  test('takes chat_template.jinja first, then the template named default, and gives it the special tokens', async () => {
    const config = {
      bos_token: '<s>',
      eos_token: { content: '</s>' },
      chat_template: [
        { name: 'tool_use', template: 'tools' },
        { name: 'default', template: '{{ bos_token }}{{ messages[0].content }}{{ eos_token }}' },
      ],
    };
    const files = { 'tokenizer.json': sentencePiece(), 'tokenizer_config.json': config };
    await withFiles(files, async (directory) => {
      const tokenizer = await loadTokenizer(directory);
      expect(await tokenizer.renderChat(messages)).toBe('<s>Is it good?</s>');
    });
    await withFiles({ ...files, 'chat_template.jinja': 'file: {{ messages|length }}' }, async (directory) => {
      const tokenizer = await loadTokenizer(directory);
      expect(await tokenizer.renderChat(messages)).toBe('file: 2');
    });
  });

  test('without a template it says so', async () => {
    await withFiles({ 'tokenizer.json': sentencePiece() }, async (directory) => {
      const tokenizer = await loadTokenizer(directory);
      expect(tokenizer.hasChatTemplate).toBe(false);
      await expect(tokenizer.renderChat(messages)).rejects.toMatchObject({
        code: 'unsupported',
        message: expect.stringMatching(/no chat template/),
      });
    });
  });
});

describe('hostile templates', () => {
  test('an endless loop is stopped, those in the queue are not harmed, and the event loop stays free', async () => {
    await renderChatTemplate('warm', {});
    let ticks = 0;
    const ticker = setInterval(() => ticks++, 10);
    const started = performance.now();
    const stopped = renderChatTemplate(endless, {}, { timeLimit: 300 });
    const queued = renderChatTemplate('{{ x }}', { x: 'fine' });
    await expect(stopped).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringMatching(/longer than 300 ms/),
    });
    expect(performance.now() - started).toBeGreaterThan(290);
    clearInterval(ticker);
    expect(ticks).toBeGreaterThan(5);
    expect(await queued).toBe('fine');
  });

  test('too much output is refused', async () => {
    await expect(
      renderChatTemplate('{% for a in range(100) %}0123456789{% endfor %}', {}, { maxLength: 999 }),
    ).rejects.toMatchObject({ code: 'invalid_argument', message: expect.stringMatching(/wrote 1000 characters/) });
    expect(
      await renderChatTemplate('{% for a in range(100) %}0123456789{% endfor %}', {}, { maxLength: 1000 }),
    ).toHaveLength(1000);
  });

  test('a template cannot reach the objects of the language', async () => {
    const expressions = ["''.constructor", 'messages.__proto__', "messages['constructor']", 'process', 'globalThis'];
    for (const expression of expressions) {
      const text = await renderChatTemplate(`{{ ${expression} is defined }}`, { messages: [] }).catch(() => 'refused');
      expect(['false', 'False', 'refused']).toContain(text);
    }
  });

  test('raise_exception and syntax errors are told apart', async () => {
    await expect(renderChatTemplate("{{ raise_exception('roles must alternate') }}", {})).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringMatching(/refused the messages: .*roles must alternate/),
    });
    await expect(renderChatTemplate('{% for %}', {})).rejects.toMatchObject({
      code: 'invalid_data',
      message: expect.stringMatching(/chat template is not valid/),
    });
  });
});
