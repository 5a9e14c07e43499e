/**
 * The lines of a batch's file.
 *
 * @module
 */

import { readJsonLines } from '../../src/data/lines.ts';
import { isRecord, type Row } from '../../src/data/row.ts';
import { SubzeroError } from '../../src/errors.ts';

/** The endpoints that batches can ask. */
export const batchEndpoints = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings'] as const;
export type BatchEndpoint = (typeof batchEndpoints)[number];

export const batchStatuses = [
  ...(['validating', 'failed', 'in_progress', 'finalizing'] as const),
  ...(['completed', 'expired', 'cancelling', 'cancelled'] as const),
] as const;
export type BatchStatus = (typeof batchStatuses)[number];

export interface BatchRequestLine {
  customId: string;
  body: Record<string, unknown>;
}

/** What is wrong with a line, in OpenAI's shape. */
export interface BatchProblem {
  code: string;
  line: number | null;
  message: string;
  param: string | null;
}

/** Most requests of a batch: OpenAI's limit. */
const mostRequests = 50_000;

/** Problems that are named; after them the file is not read any further. */
const namedProblems = 20;

const longestId = 512;

/** Reads the requests of a file that {@link checkRequests} has found right. */
export async function* readRequests(path: string): AsyncGenerator<BatchRequestLine> {
  for await (const { value } of readJsonLines(path)) {
    yield { customId: value.custom_id as string, body: value.body as Record<string, unknown> };
  }
}

/** @returns how many requests a file has, and what is wrong with it */
export async function checkRequests(
  path: string,
  endpoint: BatchEndpoint,
): Promise<{ total: number; problems: BatchProblem[] }> {
  const problems: BatchProblem[] = [];
  const seen = new Set<string>();
  let total = 0;
  const report = (code: string, message: string, param: string | null, line: number | null = total): void => {
    problems.push({ code, line, message, param });
  };
  try {
    for await (const row of readJsonLines(path)) {
      total++;
      const problem = problemOf(row, endpoint, seen);
      if (problem) report(...problem);
      if (problems.length >= namedProblems) break;
      if (total > mostRequests) {
        report('too_many_tasks', `A batch has at most ${mostRequests} requests.`, null, null);
        break;
      }
    }
  } catch (error) {
    if (!(error instanceof SubzeroError)) throw error;
    total++;
    report('invalid_json_line', error.message.replace(path, 'the file'), null);
  }
  if (total === 0) report('empty_file', 'The file holds no requests.', null, null);
  return { total, problems };
}

function problemOf(
  { value }: Row,
  endpoint: BatchEndpoint,
  seen: Set<string>,
): [code: string, message: string, param: string] | undefined {
  const { custom_id: id, method, url, body } = value;
  if (typeof id !== 'string' || id === '' || id.length > longestId) {
    return ['missing_required_parameter', `"custom_id" must be a text of 1 to ${longestId} characters.`, 'custom_id'];
  }
  if (seen.has(id)) return ['duplicate_custom_id', `The custom_id "${id}" has been used before.`, 'custom_id'];
  seen.add(id);
  if (method !== 'POST') return ['invalid_method', '"method" must be "POST".', 'method'];
  if (url !== endpoint) return ['mismatched_endpoint', `"url" must be the batch's endpoint, "${endpoint}".`, 'url'];
  if (!isRecord(body)) return ['missing_required_parameter', '"body" must be an object.', 'body'];
  const { stream } = body;
  if (stream === true) return ['invalid_request', '"stream" has no meaning in a batch.', 'body.stream'];
  return undefined;
}
