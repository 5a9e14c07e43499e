/**
 * The `post_processor` section of tokenizer.json: the special tokens around the ids of a text. Templates for pairs of
 * texts and what sets offsets or segments change nothing here: a decoder's input is one text without segments.
 *
 * @module
 */

import { brief, Section } from './section.ts';

/** Puts special tokens around ids. */
export type PostProcessor = (ids: readonly number[]) => number[];

const types = ['BertProcessing', 'ByteLevel', 'RobertaProcessing', 'Sequence', 'TemplateProcessing'];

/**
 * Compiles the section.
 * @throws SubzeroError `unsupported` or `invalid_data` that names the section, the field and the value
 */
export function compilePostProcessor(value: unknown, file: string): PostProcessor | undefined {
  return value == null ? undefined : compile(new Section(value, 'post_processor', file));
}

function compile(section: Section): PostProcessor {
  const processor = compileType(section);
  section.done();
  return processor;
}

function compileType(section: Section): PostProcessor {
  switch (section.type) {
    case 'Sequence': {
      const sections = section.sections('processors');
      const framing = sections.filter(({ type }) => type !== 'ByteLevel');
      if (framing.length > 1) {
        const found = framing.map(({ type }) => type).join(' and ');
        throw section.error('unsupported', `${found} in one sequence: the reference joins them in a way of its own`);
      }
      const steps = sections.map(compile);
      return (ids) => steps.reduce<number[]>((last, step) => step(last), [...ids]);
    }
    case 'ByteLevel':
      section.ignore('add_prefix_space', 'trim_offsets', 'use_regex');
      return (ids) => [...ids];
    case 'BertProcessing':
    case 'RobertaProcessing': {
      const first = tokenAndId(section, 'cls');
      const last = tokenAndId(section, 'sep');
      section.ignore('trim_offsets', 'add_prefix_space');
      return (ids) => [first, ...ids, last];
    }
    case 'TemplateProcessing':
      return template(section);
    default:
      throw section.unknownType(types);
  }
}

function tokenAndId(section: Section, name: string): number {
  const value = section.list(name);
  if (typeof value[0] !== 'string' || !isId(value[1])) throw section.wrong(name, 'a token and its id', value);
  return value[1];
}

function template(section: Section): PostProcessor {
  const tokens = section.section('special_tokens');
  section.ignore('pair');
  const pieces = section.sections('single').map((piece): number[] | 'text' => {
    if (piece.raw('Sequence') !== undefined) {
      const sequence = piece.section('Sequence');
      const id = sequence.choice('id', ['A', 'B']);
      if (id !== 'A') throw sequence.wrong('id', '"A" in a template for one text', id);
      return 'text';
    }
    const name = piece.section('SpecialToken').text('id');
    if (tokens.raw(name) === undefined)
      throw piece.error('invalid_data', `"special_tokens" does not name ${brief(name)}`);
    const ids = tokens.section(name).list('ids');
    if (!ids.every(isId)) throw tokens.section(name).wrong('ids', 'a list of ids', ids);
    return ids;
  });
  return (ids) => pieces.flatMap((piece) => (piece === 'text' ? ids : piece));
}

function isId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}
