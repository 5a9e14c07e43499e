/**
 * Texts of probes, and what a generator makes of them, token by token.
 *
 * @module
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Generator } from '../../src/generate/generator.ts';
import type { Model } from '../../src/model/model.ts';
import type { Probes } from '../../src/ops/probes.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import type { Tokenizer } from '../../src/tokenizer/index.ts';
import { type Parity, writeCheckpoint } from '../parity/checkpoint.ts';
import { tinyModel } from '../train/tiny.ts';

export interface Text {
  prompt: number[];
  maxTokens: number;
  temperature: number;
  seed: number;
  probe: number;
}

export interface Made {
  ids: number[];
  logprobs: number[];
}

const { cases } = JSON.parse(readFileSync(new URL('../parity/parity.json', import.meta.url), 'utf8')) as Parity;

/** A model of the fixtures, or a case of the parity suite, which is written into the folder. */
export async function directoryOf(name: string, folder: string): Promise<string> {
  const parity = cases.find((each) => each.name === name);
  if (!parity) return tinyModel(name);
  const directory = join(folder, name.replaceAll(/\W+/g, '-'));
  await writeCheckpoint(directory, parity);
  return directory;
}

/** What becomes of one text; as far as it comes where the signal ends it. */
export async function make(generator: Generator, { probe, prompt, ...request }: Text, signal?: AbortSignal) {
  const made: Made = { ids: [], logprobs: [] };
  for await (const event of generator.generate(request, prompt, signal, { adapters: [], users: [], probe })) {
    const token = event.type === 'token' ? event : event.type === 'done' ? event.endToken : undefined;
    if (!token) continue;
    made.ids.push(token.id);
    made.logprobs.push(token.logprob!);
  }
  return made;
}

/** Generates texts together, by a generator of their own. */
export async function makeAll(
  model: Model,
  tokenizer: Tokenizer,
  probes: Probes,
  texts: readonly Text[],
): Promise<Made[]> {
  const generator = new Generator(model, tokenizer, () => probes, probes.count > 1);
  const made = await Promise.all(texts.map((text) => make(generator, text)));
  await generator.destroy();
  return made;
}

/** Probes that lie far apart, so that their texts differ. */
export const far: Partial<TrainConfiguration> = { queries: 2, epsilon: 0.3, rank: 4, refresh: 10, seed: 9 };

/** What is special about a model, its name for {@link directoryOf}, and the settings that its probes are drawn by. */
export type ProbedModel = readonly [special: string, name: string, settings: Partial<TrainConfiguration>];

/** Models that differ in what generating under several probes has to get right. */
export const probedModels: readonly ProbedModel[] = [
  ['rotary positions', 'qwen3-tiny', {}],
  ['learned positions and biases', 'gpt2-tiny', {}],
  ['sliding windows', 'gemma3-tiny', {}],
  ['sides that 4 does not divide', 'opt-odd-tiny', {}],
  ['experts', 'mixtral: nothing but sizes', {}],
  ['short convolutions', 'lfm2: four taps', {}],
  ['delta rules', 'qwen3_5_text: nothing but sizes', {}],
  ['dense noise', 'qwen2-tiny', { optimizer: 'mezo', epsilon: 0.05 }],
  ['LoRA', 'llama-tiny', { scheme: 'lora' }],
  ['virtual tokens', 'llama-tiny', { scheme: 'prompt' }],
  ['prefixes', 'llama-tiny', { scheme: 'prefix' }],
];
