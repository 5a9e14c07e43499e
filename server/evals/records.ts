/**
 * What is remembered of evaluations: themselves, their runs, and the result of each item.
 *
 * @module
 */

import type { Usage } from '../schemas/generation.ts';

export interface EvalRecord {
  id: string;
  createdAt: number;
  name: string;
  metadata: Record<string, string> | null;
  itemSchema: Record<string, unknown>;
  includeSampleSchema: boolean;
  criteria: Record<string, unknown>[];
}

export interface InputMessage {
  role: string;
  content: string;
}

/** Where the items of a run are. */
export type ItemSource =
  | { type: 'file_content'; content: { item: Record<string, unknown>; sample?: Record<string, unknown> }[] }
  | { type: 'file_id'; id: string };

/** What a run evaluates: samples that are there, or those that a model is asked for. */
export type RunSource =
  | { type: 'jsonl'; source: ItemSource }
  | {
      type: 'completions';
      model: string;
      source: ItemSource;
      messages: { type: 'template'; template: InputMessage[] } | { type: 'item_reference'; item_reference: string };
      sampling: Record<string, unknown>;
    };

export type RunStatus = 'queued' | 'in_progress' | 'completed' | 'failed' | 'canceled';

export interface EvalRunRecord {
  id: string;
  createdAt: number;
  evalId: string;
  name: string;
  metadata: Record<string, string> | null;
  /** As it was sent, for answers. */
  request: Record<string, unknown>;
  source: RunSource;
  status: RunStatus;
  error: { code: string; message: string } | null;
  counts: { total: number; errored: number; failed: number; passed: number };
  /** By the names of the criteria. */
  results: Record<string, { passed: number; failed: number }>;
  usage: Record<string, { invocations: number; promptTokens: number; completionTokens: number }>;
}

export interface OutputItemRecord {
  id: string;
  createdAt: number;
  runId: string;
  evalId: string;
  /** The place of the item among those of the run, from 0. */
  index: number;
  item: Record<string, unknown>;
  status: 'pass' | 'fail' | 'error';
  results: { name: string; type: string; score: number; passed: boolean; error: string | null }[];
  sample: {
    input: InputMessage[];
    output: InputMessage[];
    finishReason: string | null;
    model: string | null;
    usage: Usage | null;
    error: { code: string; message: string } | null;
  };
}
