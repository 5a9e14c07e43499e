/**
 * Finding the chat templates of a model directory, which may have several under names.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { join, readdir } from '../platform/index.ts';
import { isRecord, readOptionalJson, readOptionalText } from './files.ts';

/** Templates by name. A single one is called `default`; `tool_use` is for conversations with tools. */
export type ChatTemplates = Readonly<Record<string, string>>;

/**
 * Reads chat_template.jinja with additional_chat_templates/NAME.jinja, or else `chat_template` of
 * tokenizer_config.json, or else chat_template.json, in the order of transformers 5.24.
 *
 * @param configured `chat_template` of tokenizer_config.json: a text, or a list of named ones
 * @throws SubzeroError `invalid_data` that names the file whose template is no text
 */
export async function readChatTemplates(directory: string, configured: unknown): Promise<ChatTemplates> {
  const files = await readTemplateFiles(directory);
  if (Object.keys(files).length > 0) return files;
  const named = parseChatTemplates(configured, join(directory, 'tokenizer_config.json'));
  if (Object.keys(named).length > 0) return named;
  const file = join(directory, 'chat_template.json');
  return parseChatTemplates((await readOptionalJson(file))?.chat_template, file);
}

async function readTemplateFiles(directory: string): Promise<ChatTemplates> {
  const templates: Record<string, string> = {};
  const single = await readOptionalText(join(directory, 'chat_template.jinja'));
  if (single !== undefined) templates.default = single;
  const folder = join(directory, 'additional_chat_templates');
  // A model without that folder is the common case.
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.endsWith('.jinja')) continue;
    const text = await readOptionalText(join(folder, name));
    if (text !== undefined) templates[name.slice(0, -'.jinja'.length)] = text;
  }
  return templates;
}

/** The templates that a value of `chat_template` holds. @throws SubzeroError `invalid_data` if it is none */
export function parseChatTemplates(value: unknown, file: string): ChatTemplates {
  if (value === undefined || value === null) return {};
  if (typeof value === 'string') return { default: value };
  const entries: [unknown, unknown][] = Array.isArray(value)
    ? value.map((each) => (isRecord(each) ? [each.name, each.template] : [undefined, undefined]))
    : isRecord(value)
      ? Object.entries(value)
      : [[undefined, undefined]];
  for (const [name, template] of entries) {
    if (typeof name !== 'string' || typeof template !== 'string') {
      throw new SubzeroError(
        'invalid_data',
        `${file}: chat_template must be a text, or a list of {"name", "template"} with texts`,
        { parameter: file },
      );
    }
  }
  return Object.fromEntries(entries) as ChatTemplates;
}

/**
 * The template for a conversation.
 * @throws SubzeroError `unsupported` if there is none, or none that is for any conversation
 */
export function chooseChatTemplate(templates: ChatTemplates, hasTools: boolean): string {
  const chosen = (hasTools ? templates.tool_use : undefined) ?? templates.default;
  if (chosen !== undefined) return chosen;
  const names = Object.keys(templates).sort();
  throw new SubzeroError(
    'unsupported',
    names.length === 0
      ? 'this model has no chat template (tokenizer_config.json, chat_template.jinja); give a prompt instead of ' +
          'messages'
      : `this model has the chat templates ${names.join(', ')} and none named "default"; give a prompt instead of ` +
          `messages`,
    { parameter: 'messages' },
  );
}
