import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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
    expect(await tokenizer.renderChat(messages)).toBe('<|endoftext|><|user|>Is it good?<|assistant|>Yes.');
    expect(await tokenizer.renderChat(messages.slice(0, 1), { addGenerationPrompt: true })).toBe(
      '<|endoftext|><|user|>Is it good?<|assistant|>',
    );
  });

  test('several beginnings at once are those rendered one by one', async () => {
    const tokenizer = await loadTokenizer(reviews);
    const beginnings = [2, 1, 2, 1, 0].map((count, index) => ({ count, addGenerationPrompt: index > 1 }));
    const texts = await tokenizer.renderBeginnings(messages, beginnings);
    for (const [index, { count, addGenerationPrompt }] of beginnings.entries()) {
      expect(texts[index]).toBe(await tokenizer.renderChat(messages.slice(0, count), { addGenerationPrompt }));
    }
    expect(new Set(texts).size).toBe(5);
  });

  test('takes chat_template.jinja first, then the template named default; gives it the special tokens', async () => {
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

  test('takes templates by name: tool_use for tools, and those of additional files', async () => {
    const config = {
      chat_template: [
        { name: 'tool_use', template: 'tools {{ tools|length }}' },
        { name: 'default', template: 'plain {{ tools }}' },
      ],
    };
    const files = { 'tokenizer.json': sentencePiece(), 'tokenizer_config.json': config };
    await withFiles(files, async (directory) => {
      const tokenizer = await loadTokenizer(directory);
      expect(await tokenizer.renderChat(messages)).toBe('plain None');
      expect(await tokenizer.renderChat(messages, { tools: [{}, {}] })).toBe('tools 2');
      await mkdir(join(directory, 'additional_chat_templates'));
      await writeFile(join(directory, 'additional_chat_templates', 'tool_use.jinja'), 'file');
      // Files take the place of all that tokenizer_config.json has.
      const other = await loadTokenizer(directory);
      expect(await other.renderChat(messages, { tools: [] })).toBe('file');
      await expect(other.renderChat(messages)).rejects.toMatchObject({
        code: 'unsupported',
        message: expect.stringMatching(/has the chat templates tool_use and none named "default"/),
      });
    });
  });

  test('reads chat_template.json where nothing else has a template', async () => {
    const files = { 'tokenizer.json': sentencePiece(), 'chat_template.json': { chat_template: 'json' } };
    await withFiles(files, async (directory) => {
      expect(await (await loadTokenizer(directory)).renderChat(messages)).toBe('json');
    });
    await withFiles({ ...files, 'tokenizer_config.json': { chat_template: 'config' } }, async (directory) => {
      expect(await (await loadTokenizer(directory)).renderChat(messages)).toBe('config');
    });
    await withFiles({ ...files, 'tokenizer_config.json': { chat_template: 5 } }, async (directory) => {
      await expect(loadTokenizer(directory)).rejects.toMatchObject({
        code: 'invalid_data',
        message: expect.stringMatching(/tokenizer_config.json: chat_template must be a text, or a list/),
      });
    });
  });

  test('a special token that the files do not name is undefined, and null fields of messages are absent', async () => {
    const template =
      '{{ bos_token is defined }}{{ eos_token }}' +
      '{% for m in messages %}{{ m.content is defined }}{{ m.reasoning_content }}{{ m.thinking }}{% endfor %}';
    const files = {
      'tokenizer.json': sentencePiece(),
      'tokenizer_config.json': { eos_token: '</s>', chat_template: template },
      'config.json': { bos_token_id: 1 },
    };
    await withFiles(files, async (directory) => {
      const tokenizer = await loadTokenizer(directory);
      const message = { role: 'assistant', content: null as unknown as string, reasoning: 'why' };
      expect(await tokenizer.renderChat([message])).toBe('False</s>Falsewhywhy');
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
      expect(['False', 'refused']).toContain(text);
    }
  });

  test('values that would fill the memory are errors, not attempts', async () => {
    const templates: [string, RegExp][] = [
      ["{{ ('x' * 10 ** 9)|length }}", /wrote 1000000000 characters; at most/],
      ["{{ 'x'.ljust(10 ** 12) }}", /wrote 1000000000000 characters; at most/],
      ["{{ '%999999999d' % 1 }}", /wrote 999999999 characters; at most/],
      ["{{ '{:>999999999}'.format(1) }}", /wrote 999999999 characters; at most/],
      ['{{ ([0] * 10 ** 9)|length }}', /a list of more than 1000000 items/],
      ['{{ range(10 ** 9)|length }}', /Range too big/],
      ['{{ 9 ** 99999999 }}', /a whole number of more than 100000 bits/],
      [
        "{% set ns = namespace(x='0123456789') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        /wrote/,
      ],
      ['{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', /it nests, or calls itself, too deep/],
    ];
    for (const [template, message] of templates) {
      await expect(renderChatTemplate(template, {})).rejects.toMatchObject({
        code: 'invalid_argument',
        message: expect.stringMatching(message),
      });
    }
  });

  test('what is not supported is refused before it runs, with its line', async () => {
    const templates: [string, RegExp][] = [
      ["a\n{% include 'x' %}", /not valid: line 2: the tag \{% include %\} is not supported/],
      ['{% if false %}\n\n{{ x|urlize }}{% endif %}', /not valid: line 3: the filter "urlize" is not supported/],
      ['{{ x is prime }}', /not valid: line 1: the test "prime" is not supported/],
      ['{{ self.title() }}', /not valid: line 1: "self" \(template inheritance\) is not supported/],
    ];
    for (const [template, message] of templates) {
      await expect(renderChatTemplate(template, {})).rejects.toMatchObject({
        code: 'invalid_data',
        message: expect.stringMatching(message),
      });
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
