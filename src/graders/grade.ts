/**
 * The grade of a sample.
 *
 * @module
 */

import { gradersOf, textOf } from './description.ts';
import { type FailureKind, GraderFailure } from './failure.ts';
import { parseFormula } from './formula.ts';
import type { Grader, LabelModel, ScoreModel, SingleGrader } from './grader.ts';
import { runGrade } from './javascript.ts';
import { fillTemplate, type GradedSample, parsedOutput } from './template.ts';
import { cosine, similarities } from './text-similarity.ts';

/** Characters of a text that is compared with another; the time grows with the product of the lengths. */
const longestCompared = 20_000;

/** What graders that ask a model need; those that ask none are pure. */
export interface GraderServices {
  /** The answer of a model to a conversation, as a text. */
  complete?(request: JudgeRequest): Promise<string>;
  /** A vector for each text. */
  embed?(model: string, texts: readonly string[]): Promise<readonly ArrayLike<number>[]>;
}

export interface JudgeRequest {
  model: string;
  messages: { role: string; content: string }[];
  maxTokens?: number;
  temperature?: number;
  topP?: number;
  seed?: number;
}

export interface Grade {
  /** 0 where something went wrong. */
  reward: number;
  /** Those of the parts of a multi grader. */
  subRewards: Record<string, number>;
  /** What went wrong: the first of each kind. */
  failures: { kind: FailureKind; message: string }[];
}

/**
 * Grades a sample.
 * @param grader one that `parseGrader` has checked
 */
export async function grade(grader: Grader, sample: GradedSample, services: GraderServices = {}): Promise<Grade> {
  if (grader.type !== 'multi') {
    try {
      return { reward: await score(grader, sample, services), subRewards: {}, failures: [] };
    } catch (error) {
      return { reward: 0, subRewards: {}, failures: [failureOf(error)] };
    }
  }
  const scores = new Map<string, number>();
  const failures: Grade['failures'] = [];
  for (const [key, part] of gradersOf(grader)) {
    const { reward, failures: ofPart } = await grade(part, sample, services);
    if (ofPart.length === 0) scores.set(key, reward);
    failures.push(...ofPart.map(({ kind, message }) => ({ kind, message: `${key}: ${message}` })));
  }
  const subRewards = Object.fromEntries(scores);
  if (failures.length > 0) return { reward: 0, subRewards, failures };
  try {
    return { reward: parseFormula(grader.calculate_output).evaluate(scores), subRewards, failures };
  } catch (error) {
    return { reward: 0, subRewards, failures: [failureOf(error)] };
  }
}

function failureOf(error: unknown): Grade['failures'][number] {
  if (error instanceof GraderFailure) return { kind: error.kind, message: error.message };
  return { kind: 'other_error', message: error instanceof Error ? error.message : String(error) };
}

async function score(grader: SingleGrader, sample: GradedSample, services: GraderServices): Promise<number> {
  switch (grader.type) {
    case 'string_check': {
      const [input, reference] = [fillTemplate(grader.input, sample), fillTemplate(grader.reference, sample)];
      return checks[grader.operation](input, reference) ? 1 : 0;
    }
    case 'text_similarity': {
      const [input, reference] = [fillTemplate(grader.input, sample), fillTemplate(grader.reference, sample)];
      const metric = grader.evaluation_metric;
      if (metric === 'meteor') throw new GraderFailure('other_error', 'the metric meteor is not supported');
      if (metric !== 'cosine') {
        if (Math.max(input.length, reference.length) > longestCompared) {
          throw new GraderFailure('other_error', `texts of more than ${longestCompared} characters are not compared`);
        }
        return similarities[metric](input, reference);
      }
      if (!services.embed) throw new GraderFailure('other_error', 'there is no model to embed texts with');
      const [one, other] = await asking(services.embed(grader.model!, [input, reference]));
      return cosine(one!, other!);
    }
    case 'json_schema': {
      const { Validator } = await import('@cfworker/json-schema');
      const value = jsonOf(fillTemplate(grader.input, sample));
      return value && new Validator(grader.schema, '2020-12').validate(value.value).valid ? 1 : 0;
    }
    case 'javascript':
      return runGrade(grader.source, { sample: shownSample(sample), item: sample.item });
    case 'score_model': {
      const answer = await ask(grader, sample, services, grader.sampling_params);
      const value = scoreIn(answer);
      const [low, high] = grader.range;
      if (value === undefined || value < low || value > high) {
        throw new GraderFailure(
          'model_grader_parse_error',
          `expected a score from ${low} to ${high}, alone or as {"result": score}; the model answered ${shown(answer)}`,
        );
      }
      return value;
    }
    case 'label_model': {
      const answer = await ask(grader, sample, services);
      const label = labelIn(answer, grader.labels);
      if (label === undefined) {
        throw new GraderFailure(
          'model_grader_parse_error',
          `expected one of ${grader.labels.join(', ')}, alone or as {"result": label}; the model answered ` +
            `${shown(answer)}`,
        );
      }
      return grader.passing_labels.includes(label) ? 1 : 0;
    }
    case 'python':
      throw new GraderFailure('other_error', 'graders in Python are not run here');
  }
}

const checks: Readonly<Record<'eq' | 'ne' | 'like' | 'ilike', (input: string, reference: string) => boolean>> = {
  eq: (input, reference) => input === reference,
  ne: (input, reference) => input !== reference,
  like: (input, reference) => input.includes(reference),
  ilike: (input, reference) => input.toLowerCase().includes(reference.toLowerCase()),
};

/** The sample as programs see it, without fields where there is none. */
function shownSample({ outputText }: GradedSample): { output_text?: string; output_json?: unknown } {
  if (outputText === undefined) return {};
  return { output_text: outputText, output_json: jsonOf(outputText)?.value ?? null };
}

function jsonOf(text: string): { value: unknown } | undefined {
  try {
    return { value: parsedOutput(text) };
  } catch {
    return undefined;
  }
}

async function ask(
  { model, input }: ScoreModel | LabelModel,
  sample: GradedSample,
  { complete }: GraderServices,
  sampling: ScoreModel['sampling_params'] = {},
): Promise<string> {
  if (!complete) throw new GraderFailure('model_grader_server_error', 'there is no model to ask');
  const messages = input.map(({ role, content }) => ({
    role: role === 'developer' ? 'system' : role,
    content: fillTemplate(textOf(content), sample),
  }));
  const { max_completions_tokens: maxTokens, temperature, top_p: topP, seed } = sampling;
  const given = Object.entries({ maxTokens, temperature, topP, seed }).filter(([, value]) => value != null);
  return asking(complete({ model, messages, ...Object.fromEntries(given) }));
}

async function asking<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw new GraderFailure('model_grader_server_error', error instanceof Error ? error.message : String(error));
  }
}

/** A number alone, or in `result`. */
function scoreIn(answer: string): number | undefined {
  const value = resultIn(answer);
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** A label alone, or in `result`. */
function labelIn(answer: string, labels: readonly string[]): string | undefined {
  const value = resultIn(answer);
  return labels.find((label) => label === value || label === answer.trim());
}

function resultIn(answer: string): unknown {
  const value = jsonOf(answer.trim())?.value;
  return typeof value === 'object' && value !== null ? (value as { result?: unknown }).result : value;
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
