/**
 * /v1/fine_tuning/alpha/graders: graders checked and tried out.
 *
 * @module
 */

import { createRoute } from '@hono/zod-openapi';
import { type Grade, type Grader, grade, judgesOf } from '../../src/graders/index.ts';
import { invalid } from '../errors.ts';
import { stoppingError } from '../generation/generate.ts';
import { readGrader } from '../generation/graders.ts';
import { judges } from '../generation/judges.ts';
import { jsonBody, jsonResponse } from '../schemas/common.ts';
import {
  type GraderRun,
  graderRun,
  graderRunRequest,
  graderValidateRequest,
  graderValidation,
} from '../schemas/graders.ts';
import type { Routes } from './routes.ts';

const tags = ['Graders'];

const validateRoute = createRoute({
  method: 'post',
  path: '/v1/fine_tuning/alpha/graders/validate',
  tags,
  summary: 'Check a grader',
  request: { body: jsonBody(graderValidateRequest) },
  responses: jsonResponse(graderValidation, 'The grader with its defaults'),
});

const runRoute = createRoute({
  method: 'post',
  path: '/v1/fine_tuning/alpha/graders/run',
  tags,
  summary: 'Grade a sample',
  request: { body: jsonBody(graderRunRequest) },
  responses: jsonResponse(graderRun, 'The reward, or what went wrong'),
});

export const graderRoutes: Routes = (application, services) => {
  application.openapi(validateRoute, async (context) => {
    const grader = await readGrader(context.req.valid('json').grader, 'grader');
    for (const { model, field } of judgesOf(grader)) {
      if (services.models.find(model)) continue;
      const listed = 'GET /v1/models lists those that it can ask.';
      throw invalid(
        `The grader asks "${model}", which is no model of this server. ${listed}`,
        `grader.${field}`,
        'model_not_found',
      );
    }
    return context.json({ grader: { ...grader } }, 200);
  });

  application.openapi(runRoute, async (context) => {
    if (services.stopping.aborted) throw stoppingError();
    const { grader: description, model_sample: outputText, item } = context.req.valid('json');
    const grader = await readGrader(description, 'grader');
    const usage: Record<string, number> = {};
    const started = performance.now();
    const result = await grade(
      grader,
      { outputText, item: item ?? {} },
      judges(services, usage, context.req.raw.signal),
    );
    return context.json(toRun(grader, result, usage, (performance.now() - started) / 1000), 200);
  });
};

function toRun(
  grader: Grader,
  { reward, subRewards, failures }: Grade,
  usage: Record<string, number>,
  seconds: number,
): GraderRun {
  const of = (kind: (typeof failures)[number]['kind']) => failures.find((failure) => failure.kind === kind);
  const isThere = (kind: (typeof failures)[number]['kind']): boolean => of(kind) !== undefined;
  const total = Object.values(usage).reduce((sum, tokens) => sum + tokens, 0);
  return {
    reward,
    sub_rewards: subRewards,
    model_grader_token_usage_per_model: usage,
    metadata: {
      name: grader.name,
      type: grader.type,
      execution_time: seconds,
      scores: grader.type === 'multi' ? subRewards : failures.length > 0 ? {} : { [grader.name]: reward },
      sampled_model_name: 'model' in grader && grader.model !== undefined ? grader.model : null,
      token_usage: total === 0 ? null : total,
      errors: {
        formula_parse_error: isThere('formula_parse_error'),
        invalid_variable_error: isThere('invalid_variable_error'),
        model_grader_parse_error: isThere('model_grader_parse_error'),
        model_grader_refusal_error: false,
        model_grader_server_error: isThere('model_grader_server_error'),
        model_grader_server_error_details: of('model_grader_server_error')?.message ?? null,
        other_error: isThere('other_error'),
        python_grader_runtime_error: isThere('script_error'),
        python_grader_runtime_error_details: of('script_error')?.message ?? null,
        python_grader_server_error: false,
        python_grader_server_error_type: null,
        sample_parse_error: isThere('sample_parse_error'),
        truncated_observation_error: false,
        unresponsive_reward_error: false,
        messages: failures.map(({ message }) => message),
      },
    },
  };
}
