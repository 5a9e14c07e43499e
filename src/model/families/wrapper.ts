/**
 * Language models inside of models that see or hear: the configuration lies in `text_config`, the weights below
 * `language_model`. The other parts are left out.
 *
 * @module
 */

import { SubzeroError } from '../../errors.ts';
import { brief, flag, object, readFields } from '../config-fields.ts';
import { checkKeys } from '../config-keys.ts';
import type { Decoder } from '../decoder.ts';
import { type Family, family, keysOf } from './family.ts';

/** How transformers names the language model's tensors, and how it named them before its version 5. */
const prefixes = [
  { name: 'model.language_model.', older: 'language_model.model.' },
  { name: 'lm_head.', older: 'language_model.lm_head.' },
];

/** Tensors of the parts that are left out, of most. */
const parts = /^(model\.)?(vision_tower|multi_modal_projector)\./;

/**
 * A family whose language model is one of others.
 *
 * @param members the language models by their types
 * @param fallback the type of a text configuration that names none
 */
export function wrapper(
  members: Readonly<Record<string, Family>>,
  fallback: string,
  own: {
    classes: readonly string[];
    ignored: readonly string[];
    /** Whether the output head is tied where no key says so; it is, in most. */
    tied?: boolean;
    /** Tensors of the parts that are left out. */
    leftOut?: RegExp;
  },
): Family {
  const reason = 'is about images or sounds, which are not read; the language model is the same without them';
  return family(
    { text_config: object, tie_word_embeddings: flag(own.tied ?? true) },
    ({ text_config: config, tie_word_embeddings: tied }) => {
      const type = config?.model_type ?? fallback;
      const member = typeof type === 'string' && Object.hasOwn(members, type) ? members[type] : undefined;
      if (!config || !member) {
        throw new SubzeroError(
          'unsupported',
          `"text_config" must be of the type ${Object.keys(members).join(' or ')}; got ${brief(config && type)}`,
        );
      }
      checkKeys(config, type as string, keysOf(member), member);
      const decoder = member.read(readFields(config, member.fields), type as string);
      const named = renamed(decoder, (name) => name.replace(/^model\./, prefixes[0]!.name));
      return {
        ...named,
        head: { ...named.head, tied },
        stored: { ...decoder.stored, prefixes, leftOut: own.leftOut ?? parts },
      };
    },
    {
      classes: own.classes,
      ignored: Object.fromEntries([...own.ignored, 'vision_config'].map((key) => [key, reason])),
    },
  );
}

/** A description with other names of its tensors. Parts that layers share stay shared. */
function renamed(decoder: Decoder, rename: (name: string) => string): Decoder {
  const done = new Map<object, unknown>();
  const walk = (value: unknown): unknown => {
    if (typeof value === 'string') return rename(value);
    if (typeof value !== 'object' || value === null) return value;
    if (!done.has(value)) {
      const copy = Array.isArray(value)
        ? value.map(walk)
        : Object.fromEntries(Object.entries(value).map(([key, part]) => [key, walk(part)]));
      done.set(value, copy);
    }
    return done.get(value);
  };
  return walk(decoder) as Decoder;
}
