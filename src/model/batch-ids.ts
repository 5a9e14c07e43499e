/**
 * Checks of the token ids in a packed batch, whatever door they came by.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Probes } from '../ops/probes.ts';
import { unknownToken } from '../tokenizer/token-ids.ts';
import type { PackedBatch } from './batch.ts';
import type { Decoder } from './decoder.ts';

/**
 * Checks the rows of a packed batch. Ids of virtual tokens stand behind the vocabulary, each at
 * the position of its number.
 *
 * @throws SubzeroError `invalid_data` naming id and vocabulary; for padding in a model where it has no position
 */
export function checkBatchIds(
  { ids, positions }: Pick<PackedBatch, 'ids' | 'positions'>,
  { vocabularySize, position }: Pick<Decoder, 'vocabularySize' | 'position'>,
  { adapter }: Pick<Probes, 'adapter'>,
): void {
  const end = vocabularySize + (adapter?.virtualTokens ?? 0);
  for (let row = 0; row < ids.length; row++) {
    const id = ids[row]!;
    if (id === position?.padding) {
      throw new SubzeroError(
        'invalid_data',
        `token ${id} is the padding token of this model, which has no position in a text; take it out`,
      );
    }
    if (id >= vocabularySize && !(id < end && id - vocabularySize === positions[row])) {
      throw unknownToken(id, { vocabularySize });
    }
  }
}

/**
 * Checks the tokens whose log-probability is wanted; the last one of a sequence has no row of its own.
 *
 * @throws SubzeroError `invalid_data` naming id and vocabulary
 */
export function checkTargetIds({ targets }: Pick<PackedBatch, 'targets'>, vocabularySize: number): void {
  for (let at = 1; at < targets.length; at += 2) {
    if (targets[at]! >= vocabularySize) throw unknownToken(targets[at]!, { vocabularySize });
  }
}
