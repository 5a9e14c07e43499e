/**
 * Texts that go on from a prompt or a conversation.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { type Decoder, generates } from '../model/decoder.ts';
import { textModel } from './adapters.ts';
import type { LoadedModels } from './loaded-models.ts';
import { chatTokens, encodeText } from './texts.ts';
import type { GenerateEvent, GenerateRequest, ModelInfo } from './types.ts';

/**
 * Generates a text with a loaded model.
 * @throws SubzeroError `unsupported` for a model that does not go on with texts
 */
export async function* generateText(
  models: LoadedModels,
  request: GenerateRequest,
  signal?: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  const loaded = models.find(request.model);
  const { tokenizer, generator, stepRun, information, model } = loaded;
  refuseMasked(information, model.decoder);
  const text = textModel(models, loaded, request.adapters);
  const { contextLength } = information;
  let prompt = request.tokens;
  if (request.messages) {
    const variables = request.templateVariables ?? {};
    prompt = await chatTokens(tokenizer, request.messages, { variables, contextLength });
  }
  prompt ??= encodeText(tokenizer, request.prompt ?? '', { contextLength });
  // A model without BOS cannot begin from nothing; its end-of-text token stands in, as in pre-training.
  if (prompt.length === 0 && tokenizer.eosTokenIds.length > 0) prompt = [tokenizer.eosTokenIds[0]!];
  // A model that changes meanwhile would give a text that belongs to no step of its run.
  const release = await stepRun?.hold();
  try {
    yield* generator.generate(request, prompt, signal, text);
  } finally {
    release?.();
  }
}

/** @throws SubzeroError `unsupported` for a model that does not go on with texts */
function refuseMasked({ id, architecture }: Pick<ModelInfo, 'id' | 'architecture'>, decoder: Decoder): void {
  if (generates(decoder)) return;
  throw new SubzeroError(
    'unsupported',
    `"${id}" is a masked language model (${architecture}): it fills in masks and cannot go on with a text; ` +
      'it can be trained, evaluated and asked for embeddings',
    { parameter: 'model' },
  );
}
