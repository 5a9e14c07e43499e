/**
 * What graders are, in the shapes of OpenAI's API, with two kinds more: `json_schema` and `javascript`.
 *
 * @module
 */

import type { SimilarityName } from './text-similarity.ts';

interface TextPart {
  type: 'input_text' | 'output_text';
  text: string;
}

/** What a judging model is asked; its texts are templates. */
export type JudgeMessages = {
  role: 'user' | 'assistant' | 'system' | 'developer';
  content: string | TextPart | (string | TextPart)[];
  type?: 'message' | undefined;
}[];

export interface StringCheck {
  type: 'string_check';
  name: string;
  input: string;
  reference: string;
  operation: 'eq' | 'ne' | 'like' | 'ilike';
}

export interface TextSimilarity {
  type: 'text_similarity';
  name: string;
  input: string;
  reference: string;
  evaluation_metric: 'cosine' | 'meteor' | SimilarityName;
  /** For `cosine`: the model whose embeddings are compared. */
  model?: string | undefined;
}

export interface ScoreModel {
  type: 'score_model';
  name: string;
  model: string;
  input: JudgeMessages;
  /** Lowest and highest score; 0 and 1 by default. */
  range: [low: number, high: number];
  sampling_params?:
    | {
        max_completions_tokens?: number | null | undefined;
        seed?: number | null | undefined;
        temperature?: number | null | undefined;
        top_p?: number | null | undefined;
        /** Without effect: judges here have no such knob. */
        reasoning_effort?: string | null | undefined;
      }
    | undefined;
}

export interface LabelModel {
  type: 'label_model';
  name: string;
  model: string;
  input: JudgeMessages;
  labels: string[];
  passing_labels: string[];
}

export interface JsonSchemaCheck {
  type: 'json_schema';
  name: string;
  schema: boolean | Record<string, unknown>;
  /** The text that is checked, a template; the answer by default. */
  input: string;
}

export interface Program {
  type: 'javascript' | 'python';
  name: string;
  source: string;
  image_tag?: string | undefined;
}

export type SingleGrader = StringCheck | TextSimilarity | ScoreModel | LabelModel | JsonSchemaCheck | Program;

/** Several graders and a formula over what they give. */
interface Multi<Single> {
  type: 'multi';
  name: string;
  /** By the names that the formula calls them, or one under its own name. */
  graders: Single | Record<string, Single>;
  calculate_output: string;
}

/** A grader with its defaults. */
export type Grader = SingleGrader | Multi<SingleGrader>;

type Optional<Type, Field extends keyof Type> = Omit<Type, Field> & Partial<Pick<Type, Field>>;

type SingleDescription =
  | Exclude<SingleGrader, ScoreModel | JsonSchemaCheck>
  | Optional<ScoreModel, 'range'>
  | Optional<JsonSchemaCheck, 'input'>;

/** A grader as it is written. */
export type GraderDescription = SingleDescription | Multi<SingleDescription>;
