/**
 * What graders that ask a model need, by the models that are served.
 *
 * @module
 */

import type { GraderServices } from '../../src/graders/index.ts';
import type { Services } from '../services.ts';
import { startGeneration } from './generate.ts';
import { chatMessages, completionPrompts } from './prompts.ts';

/** Tokens of a judging model's answer, unless the grader says how many. */
const judgeTokens = 256;

/** The served models as judges. @param usage tokens by model, to be added to */
export function judges(services: Services, usage: Record<string, number>, client: AbortSignal): GraderServices {
  const { promptCharacters } = services.configuration.limits;
  const use = (model: string, tokens: number): void => {
    usage[model] = (usage[model] ?? 0) + tokens;
  };
  return {
    async complete({ model, messages, maxTokens = judgeTokens, temperature, topP, seed }) {
      const lease = await services.models.acquire(model);
      let prompts: Parameters<typeof startGeneration>[2]['prompts'];
      try {
        prompts = [
          { messages: chatMessages(messages as Parameters<typeof chatMessages>[0], lease.info, promptCharacters) },
        ];
      } catch (error) {
        lease.release();
        throw error;
      }
      const sampling = { model, temperature, top_p: topP, seed };
      const options = { prompts, sampling, maxTokens, topLogprobs: undefined };
      const generation = await startGeneration(services, lease, options, client);
      let text = '';
      try {
        for await (const event of generation.events) text += event.text;
      } finally {
        generation.close();
      }
      use(model, generation.usage.total_tokens);
      return text;
    },
    async embed(model, texts) {
      const lease = await services.models.acquire(model);
      try {
        const prompts = completionPrompts([...texts], lease.info, promptCharacters, 'input');
        const inputs = prompts.map(({ prompt }) => prompt!);
        const { vectors, tokens } = await services.engine.embed(
          { model: lease.info.id, inputs, pooling: 'mean' },
          client,
        );
        use(model, tokens);
        return vectors;
      } finally {
        lease.release();
      }
    },
  };
}
