/**
 * Text as HTML. Chat templates are rendered without automatic escaping, so only `|escape` and what touches its result
 * comes here.
 *
 * @module
 */

import { checkLength } from './limits.ts';
import { toText } from './repr.ts';
import { Markup, type Value } from './values.ts';

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
};

/** A value as safe text; one that is safe stays as it is. */
export function escapeHtml(value: Value): Markup {
  return value instanceof Markup ? value : escapeAlways(value);
}

export function escapeAlways(value: Value): Markup {
  const text = toText(value).replace(/[&<>"']/g, (character) => entities[character]!);
  checkLength(text.length);
  return new Markup(text);
}
