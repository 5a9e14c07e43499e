/**
 * A case of the parity suite against the real model: log-probabilities, checksums over the vocabulary, greedy generation.
 *
 * @module
 */

import { Generator } from '../../src/generate/generator.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { Model } from '../../src/model/model.ts';
import type { Tokenizer } from '../../src/tokenizer/index.ts';
import { type ParityCase, type ParityFile, promptOf, signsOf, writeCheckpoint } from './checkpoint.ts';

/** Largest absolute difference of a log-probability up to 110 tokens, f32 on both sides. */
export const tolerance = 3e-5;

/** Greedy tokens are compared where the two best logits are never closer than this. */
const leastGap = 1e-3;

/** What a case showed. */
export interface Comparison {
  name: string;
  /** Of log-probabilities and checksums, over all sequences. */
  difference: number;
  /** `equal`, the first position at which greedy tokens differ, or `close` where two logits are too close to tell. */
  greedy: 'equal' | 'close' | number;
}

/** Whether a comparison counts as agreement. */
export function agrees({ difference, greedy }: Comparison): boolean {
  return difference <= tolerance && typeof greedy === 'string';
}

/** The log-softmax of one row of logits in float64. */
function logSoftmax(logits: Float32Array): Float64Array {
  const largest = logits.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  const shift = largest + Math.log(sum);
  return Float64Array.from(logits, (logit) => logit - shift);
}

/** Ids are all there is: the checkpoints have no tokenizer. */
const noTokenizer = {
  eosTokenIds: [],
  isSpecialToken: () => false,
  tokenText: () => '',
  tokenBytes: () => new Uint8Array(),
  createTokenStream: () => ({
    take: () => ({ text: '', before: 0 }),
    bytesOf: () => new Uint8Array(),
    flush: () => '',
  }),
  createDecodeStream: () => ({ push: () => '', flush: () => '' }),
} as unknown as Tokenizer;

/** Writes a case into a folder, loads it and compares it. @throws SubzeroError where the model is refused */
export async function compareCase(
  gpu: Gpu,
  parityCase: ParityCase,
  file: ParityFile,
  folder: string,
): Promise<Comparison> {
  const { name, config, sequences, greedy: expected, greedy_gap: gap } = parityCase;
  await writeCheckpoint(folder, parityCase, file);
  const model = await Model.load(gpu, folder);
  try {
    const signs = signsOf(config.vocab_size);
    let difference = 0;
    const note = (actual: number, wanted: number): void => {
      // NaN must not pass as the smaller one.
      const error = Math.abs(actual - wanted);
      difference = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(difference, error);
    };
    for (const { length, logprobs, checksums } of sequences) {
      const ids = promptOf(parityCase, length);
      const rows = (await sequenceLogits(model, ids)).map(logSoftmax);
      for (const [index, row] of rows.entries()) {
        if (index + 1 < length) note(row[ids[index + 1]!]!, logprobs[index]!);
        note(row.reduce((sum, value, id) => sum + value * signs[id]!, 0) / row.length, checksums[index]!);
      }
    }
    const generator = new Generator(model, noTokenizer, () => model.plainProbes);
    const made: number[] = [];
    try {
      const options = { model: name, maxTokens: expected.length, temperature: 0 };
      for await (const event of generator.generate(options, promptOf(parityCase, file.greedyPrompt))) {
        if (event.type === 'token') made.push(event.id);
      }
    } finally {
      await generator.destroy();
    }
    const parting = expected.findIndex((id, index) => made[index] !== id);
    return { name, difference, greedy: parting < 0 ? 'equal' : gap < leastGap ? 'close' : parting };
  } finally {
    model.destroy();
  }
}
