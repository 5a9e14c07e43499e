/**
 * What a run trains of a model: a scheme, as data for the optimisers.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import { fixedParameters } from '../model/parameters.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { type SchemeName, schemes } from '../settings/schemes.ts';
import type { Weight } from '../tensor/weight.ts';
import { parameter, words } from '../words.ts';
import type { Adapter } from './adapter.ts';
import { loraAdapter } from './lora.ts';
import { selectNames } from './patterns.ts';
import { prefixAdapter } from './prefix.ts';
import { promptAdapter } from './prompt.ts';

export interface Tuning {
  /** Matrices of the model that train, by name. What is not here is only read. */
  weights: ReadonlyMap<string, Weight>;
  /** 1-D parameters of the model that train, as loaded, by name. */
  vectors: ReadonlyMap<string, Float32Array>;
  /** What the scheme adds to the model, which then stays as it is. */
  adapter?: Adapter;
}

/** How each scheme makes what trains. */
const makers: Readonly<Record<SchemeName, (model: Model, configuration: TrainConfiguration) => Promise<Tuning>>> = {
  full: async (model, { parameters }) => chosenParameters(model, parameters),
  lora: async (model, configuration) => beside(loraAdapter(model, configuration)),
  prompt: async (model, configuration) => beside(await promptAdapter(model, configuration)),
  prefix: async (model, configuration) => beside(await prefixAdapter(model, configuration)),
};

/** Every parameter of the model. */
export function wholeModel({ weights, vectors, decoder }: Model): Tuning {
  const fixed = fixedParameters(decoder);
  return { weights, vectors: fixed.size === 0 ? vectors : new Map([...vectors].filter(([name]) => !fixed.has(name))) };
}

/**
 * Finds what a configuration trains of a model, or adds to it.
 *
 * @param start what a scheme of pairs adds, where that is not its own choice
 * @throws SubzeroError `invalid_argument` that names the setting, where it does not fit the model
 */
export async function prepareTuning(model: Model, configuration: TrainConfiguration, start?: Adapter): Promise<Tuning> {
  roomForText(model.decoder, configuration);
  if (start) return beside(start);
  return await makers[configuration.scheme](model, configuration);
}

/** A scheme that leaves the model as it is. */
function beside(adapter: Adapter): Tuning {
  return { weights: new Map(), vectors: new Map(), adapter };
}

/**
 * Most tokens of a text: virtual tokens take positions of the model's context.
 * @throws SubzeroError `invalid_argument` where they leave no room for a text
 */
export function roomForText(
  { contextLength }: { contextLength: number },
  { scheme, virtualTokens }: Pick<TrainConfiguration, 'scheme' | 'virtualTokens'>,
): number {
  const room = contextLength - (schemes[scheme].adds === 'tokens' ? virtualTokens : 0);
  if (room > 1) return room;
  const problem = `${virtualTokens} leave no room for a text in the model's context of ${contextLength} tokens`;
  throw new SubzeroError('invalid_argument', words`${parameter('virtualTokens')}: ${problem}`, {
    parameter: 'virtualTokens',
  });
}

function chosenParameters(model: Model, patterns: readonly string[]): Tuning {
  const { weights, vectors } = wholeModel(model);
  const chosen = new Set(selectNames([...weights.keys(), ...vectors.keys()], patterns, 'parameters'));
  const keep = <T>(all: ReadonlyMap<string, T>) => new Map([...all].filter(([name]) => chosen.has(name)));
  return { weights: keep(weights), vectors: keep(vectors) };
}
