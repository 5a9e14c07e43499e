/**
 * Reads graders: their shapes, and what else is wrong with them.
 *
 * @module
 */

import { z } from 'zod';
import { SubzeroError } from '../errors.ts';
import { GraderFailure } from './failure.ts';
import { parseFormula } from './formula.ts';
import type { Grader, GraderDescription, JudgeMessages, SingleGrader } from './grader.ts';
import { runGrade } from './javascript.ts';
import { mistakeIn, patternIn } from './json-schema.ts';
import { checkTemplate } from './template.ts';
import { type SimilarityName, similarities } from './text-similarity.ts';

const name = z.string().min(1).max(64);
const text = z.string().max(100_000);
const source = z
  .string()
  .min(1)
  .max(256 * 1024);

const stringCheck = z.strictObject({
  type: z.literal('string_check'),
  name,
  input: text,
  reference: text,
  operation: z.enum(['eq', 'ne', 'like', 'ilike']),
});

const metrics = ['cosine', 'meteor', ...(Object.keys(similarities) as SimilarityName[])] as const;

const textSimilarity = z.strictObject({
  type: z.literal('text_similarity'),
  name,
  input: text,
  reference: text,
  evaluation_metric: z.enum(metrics),
  model: z.string().min(1).optional(),
});

const textPart = z.strictObject({ type: z.enum(['input_text', 'output_text']), text });
const message = z.strictObject({
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content: z.union([text, textPart, z.array(z.union([text, textPart])).max(64)], {
    error: 'expected a text, or parts of the types input_text and output_text; images and audio are not supported',
  }),
  type: z.literal('message').optional(),
});
const messages = z.array(message).min(1).max(64);

/** Those of OpenAI's reasoning models. */
const reasoningEfforts = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;

const samplingParameters = z.strictObject({
  max_completions_tokens: z.int().min(1).max(4096).nullish(),
  seed: z.int().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  // Judges here have no such knob, so it changes nothing, as in requests for chat completions.
  reasoning_effort: z.enum(reasoningEfforts).nullish(),
});

const scoreModel = z.strictObject({
  type: z.literal('score_model'),
  name,
  model: z.string().min(1),
  input: messages,
  range: z.tuple([z.number(), z.number()]).default([0, 1]),
  sampling_params: samplingParameters.optional(),
});

const labelModel = z.strictObject({
  type: z.literal('label_model'),
  name,
  model: z.string().min(1),
  input: messages,
  labels: z.array(z.string().min(1)).min(1).max(64),
  passing_labels: z.array(z.string().min(1)).min(1),
});

const jsonSchema = z.strictObject({
  type: z.literal('json_schema'),
  name,
  schema: z.union([z.boolean(), z.record(z.string(), z.unknown())]),
  input: text.default('{{sample.output_text}}'),
});

const javascript = z.strictObject({ type: z.literal('javascript'), name, source });

const python = z.strictObject({ type: z.literal('python'), name, source, image_tag: z.string().optional() });

const single = z.discriminatedUnion('type', [
  ...[stringCheck, textSimilarity, scoreModel, labelModel],
  ...[jsonSchema, javascript, python],
] as const);

const multi = z.strictObject({
  type: z.literal('multi'),
  name,
  graders: z.union([single, z.record(z.string().regex(/^[A-Za-z_]\w*$/, 'letters, digits and _ only'), single)]),
  calculate_output: z.string().min(1),
});

const graderSchema: z.ZodType<Grader, GraderDescription> = z.discriminatedUnion('type', [...single.options, multi]);

/**
 * Checks a grader: its shape, its templates, its formula, that its program can be read.
 * @throws SubzeroError `invalid_argument` that names the field; `unsupported` for `python` and `meteor`
 */
export async function parseGrader(value: unknown): Promise<Grader> {
  const parsed = graderSchema.safeParse(value);
  if (!parsed.success) {
    throw refusal(parsed.error.issues[0]!);
  }
  const grader = parsed.data;
  if (grader.type !== 'multi') {
    await checkSingle(grader, '');
    return grader;
  }
  const parts = gradersOf(grader);
  for (const [key, each] of parts) await checkSingle(each, `graders.${key}.`);
  try {
    const unknown = parseFormula(grader.calculate_output).names.find((each) => !parts.has(each));
    if (unknown !== undefined) {
      throw wrong('calculate_output', `there is no grader "${unknown}"; there are ${[...parts.keys()].join(', ')}`);
    }
  } catch (error) {
    throw error instanceof GraderFailure ? wrong('calculate_output', error.message) : error;
  }
  return grader;
}

/** The parts of a multi grader by the names that its formula has for them. */
export function gradersOf({ graders }: Extract<Grader, { type: 'multi' }>): Map<string, SingleGrader> {
  const isOne = (value: typeof graders): value is SingleGrader => typeof value.type === 'string';
  return new Map(isOne(graders) ? [[graders.name, graders]] : Object.entries(graders));
}

/** The models that a grader asks, with the fields that name them. */
export function judgesOf(grader: Grader): { model: string; field: string }[] {
  const judge = (part: SingleGrader, field: string) =>
    'model' in part && part.model !== undefined ? [{ model: part.model, field }] : [];
  if (grader.type !== 'multi') return judge(grader, 'model');
  const isOne = typeof grader.graders.type === 'string';
  return [...gradersOf(grader)].flatMap(([key, part]) => judge(part, `graders.${isOne ? '' : `${key}.`}model`));
}

async function checkSingle(grader: SingleGrader, path: string): Promise<void> {
  const unsupported = (what: string): SubzeroError =>
    new SubzeroError('unsupported', `${path}type: ${what}`, { parameter: `${path}type` });
  switch (grader.type) {
    case 'python':
      throw unsupported(
        'graders in Python are not run here; write the function in JavaScript: {"type": "javascript", "name", ' +
          '"source": "function grade(sample, item) { return 1; }"}',
      );
    case 'javascript':
      await runGrade(grader.source).catch((error) => {
        throw error instanceof GraderFailure ? wrong(`${path}source`, error.message) : error;
      });
      return;
    case 'json_schema': {
      const keyword = patternIn(grader.schema);
      if (keyword !== undefined) {
        throw unsupported(
          `the keyword "${keyword}" of a schema is not supported: a regular expression can run for ever`,
        );
      }
      const mistake = mistakeIn(grader.schema);
      if (mistake !== undefined) throw wrong(`${path}schema`, mistake);
      break;
    }
    case 'text_similarity':
      if (grader.evaluation_metric === 'meteor') {
        throw unsupported('the metric meteor needs the synonyms of WordNet, which are not here; use rouge_l or bleu');
      }
      if (grader.evaluation_metric === 'cosine' && grader.model === undefined) {
        throw wrong(`${path}model`, 'the metric cosine needs the model whose embeddings are compared');
      }
      break;
    case 'label_model': {
      const other = grader.passing_labels.find((label) => !grader.labels.includes(label));
      if (other !== undefined) throw wrong(`${path}passing_labels`, `"${other}" is none of the labels`);
      break;
    }
    case 'score_model':
      if (grader.range[0] >= grader.range[1]) throw wrong(`${path}range`, 'the first number must be below the second');
      break;
  }
  for (const [field, template] of templatesOf(grader)) checkTemplate(template, path + field);
}

function templatesOf(grader: SingleGrader): [field: string, template: string][] {
  if (grader.type === 'score_model' || grader.type === 'label_model') {
    return grader.input.map(({ content }, index) => [`input.${index}.content`, textOf(content)]);
  }
  return (['input', 'reference'] as const).flatMap((field): [string, string][] =>
    field in grader ? [[field, (grader as Record<typeof field, string>)[field]]] : [],
  );
}

/** The text of a message's content. */
export function textOf(content: JudgeMessages[number]['content']): string {
  const parts = Array.isArray(content) ? content : [content];
  return parts.map((part) => (typeof part === 'string' ? part : part.text)).join('');
}

/** The form of a field that came furthest says what is wrong, unless the forms have words of their own. */
function refusal(issue: z.core.$ZodIssue, at: readonly PropertyKey[] = []): SubzeroError {
  const path = [...at, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return wrong([...path, issue.keys[0]!].join('.'), 'graders of this type have no such field');
  }
  if (issue.code === 'invalid_union' && issue.message === 'Invalid input') {
    const inner = issue.errors.flat().sort((a, b) => b.path.length - a.path.length)[0];
    if (inner) return refusal(inner, path);
  }
  return wrong(path.join('.') || 'grader', issue.message);
}

function wrong(field: string, what: string): SubzeroError {
  return new SubzeroError('invalid_argument', `${field}: ${what}`, { parameter: field });
}
