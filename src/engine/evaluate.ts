/**
 * The evaluation of a loaded model.
 *
 * @module
 */

import type { Example } from '../data/example.ts';
import type { Outcome } from '../evaluation/outcome.ts';
import { type AnswerOptions, generateAnswer } from '../generate/answer.ts';
import type { TextModel } from '../generate/row-adapters.ts';
import { contextLengthOf, leadingTokens, withLeading } from '../model/virtual-tokens.ts';
import { evaluate, wantsAnswers } from '../train/evaluate.ts';
import { loadTokenized } from '../train/examples.ts';
import { OutcomeCollector } from '../train/outcomes.ts';
import { Scorer } from '../train/score.ts';
import type { LoadedModel } from './loaded-model.ts';
import type { EvaluateRequest, EvaluationResult } from './types.ts';

/** Rows of one pass of an evaluation. */
const evaluationRows = 8192;

/** How answers are generated that are not a line each. */
const freeAnswers: AnswerOptions = { maxTokens: 256, stop: [] };

/** Whether the answers to an example end with their line, as those of tasks do: it has right ones, each of one line. */
function isAnsweredByLine({ isRendered, references }: Example): boolean {
  return !isRendered && references !== undefined && !references.some((reference) => reference.includes('\n'));
}

/**
 * Evaluates a loaded model on a request's rows, with answers where the metric wants them.
 * @param textModel what its answers are generated with
 */
export async function evaluateModel(
  loaded: LoadedModel,
  textModel: TextModel,
  request: EvaluateRequest,
  onProgress: ((done: number, total: number) => void) | undefined,
  signal: AbortSignal,
): Promise<EvaluationResult & { outcomes?: Outcome[] }> {
  const { model, probes, generator } = loaded;
  const { outcomes: wanted, generate } = request;
  const collector = wanted && new OutcomeCollector(wanted === 'texts');
  let isLine = true;
  const { examples, truncated } = await loadTokenized(model.directory, request.data, {
    split: 'evaluation',
    contextLength: contextLengthOf(model, probes()),
    reading: request,
    ...(request.limit === undefined ? {} : { limit: request.limit }),
    signal,
    ...(generate === undefined ? {} : { withReferences: true }),
    ...(collector || generate
      ? {
          onText: (example: Example) => {
            collector?.addText(example);
            isLine &&= isAnsweredByLine(example);
          },
        }
      : {}),
  });
  const scorer = new Scorer(model, evaluationRows);
  try {
    const shown = withLeading(examples, leadingTokens(model, probes()));
    const answering = { ...(isLine ? {} : freeAnswers), ...generate };
    const answer = async (prompt: readonly number[], index: number): Promise<string> => {
      const text = await generateAnswer(generator, prompt, signal, answering, textModel);
      collector?.answer(index, text);
      return text;
    };
    const result = await evaluate(scorer, shown, probes(), {
      ...(onProgress ? { onProgress } : {}),
      ...(wantsAnswers(shown) ? { answer } : {}),
      ...(collector ? { onScore: (index, score) => collector.score(index, shown[index]!, score) } : {}),
      signal,
    });
    return {
      ...result,
      ...(truncated === 0 ? {} : { truncated }),
      ...(collector ? { outcomes: collector.outcomes } : {}),
    };
  } finally {
    scorer.destroy();
  }
}
