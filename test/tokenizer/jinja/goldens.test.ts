/** Templates that transformers rendered; made by test/reference/chat_templates.py. */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { templateMessages } from '../../../src/tokenizer/chat-messages.ts';
import { TemplateRuntimeError, TemplateSyntaxError } from '../../../src/tokenizer/jinja/errors.ts';
import { compileTemplate } from '../../../src/tokenizer/jinja/index.ts';

interface Case {
  set: string;
  template: string;
  text?: string;
  invalid?: string;
  error?: { kind: string; message: string };
}

interface Goldens {
  now: string;
  sets: Record<string, Record<string, unknown> & { messages: object[] }>;
  cases: Case[];
}

const { now, sets, cases }: Goldens = JSON.parse(
  readFileSync(new URL('../../fixtures/golden/chat-templates.json', import.meta.url), 'utf8'),
);

/** What transformers renders and we refuse. Every line is a template of the goldens that uses it. */
const refused = new Map<string, RegExp>([
  ["{{ 'a\\tbc\\td'.expandtabs(4) }}{{ 'ab'.encode is defined }}", /the method "encode" of a text is not supported/],
  ["{{ {'a': 1}['a':] }}", /unhashable type: 'slice'/],
  ["{{ 5.real }}{{ '' }}", /the attribute "real" of a int is not supported/],
]);

function render({ set, template }: Case): string {
  const variables = sets[set]!;
  return compileTemplate(template).render(
    {
      tools: null,
      documents: null,
      add_generation_prompt: false,
      ...variables,
      messages: templateMessages(variables.messages),
    },
    { now: () => new Date(now) },
  );
}

function failure(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('templates rendered by transformers', () => {
  const rendered = cases.filter(({ text }) => text !== undefined);
  test.for(rendered.filter(({ template }) => !refused.has(template)))('$set: $template', (golden) => {
    expect(render(golden)).toBe(golden.text);
  });
  test.for(rendered.filter(({ template }) => refused.has(template)))('refused: $template', (golden) => {
    expect(failure(() => render(golden))).toMatchObject({
      message: expect.stringMatching(refused.get(golden.template)!),
    });
  });
  test('there are enough of them, and every refusal is of one', () => {
    expect(rendered.length).toBeGreaterThan(150);
    for (const template of refused.keys()) expect(rendered.map((golden) => golden.template)).toContain(template);
  });
});

describe('templates that transformers refuses', () => {
  test.for(cases.filter(({ invalid }) => invalid !== undefined))('$template is not valid', (golden) => {
    const error = failure(() => compileTemplate(golden.template));
    expect(error).toBeInstanceOf(TemplateSyntaxError);
    expect((error as Error).message).toMatch(/^line \d+: /);
  });
  test.for(cases.filter(({ error }) => error !== undefined))('$template fails: $error.message', (golden) => {
    const error = failure(() => render(golden));
    expect(error).toBeInstanceOf(Error);
    if (golden.error!.kind === 'TemplateError' || golden.error!.kind === 'UndefinedError') {
      expect(error).toBeInstanceOf(TemplateRuntimeError);
      expect((error as Error).message).toBe(golden.error!.message);
    }
  });
});
