/**
 * Experts whose matrices lie in one tensor for all of them in some files, and by themselves in others.
 *
 * @module
 */

import type { Decoder, ExpertsSublayer } from './decoder.ts';

/**
 * A description of what a file holds, where a family knows both forms of its experts.
 *
 * @param holds whether the file has a parameter of this name
 */
export function withStoredExperts(decoder: Decoder, holds: (name: string) => boolean): Decoder {
  const blocks = decoder.blocks.map((block) =>
    block.map((sublayer) => (sublayer.kind === 'experts' ? asStored(sublayer, holds) : sublayer)),
  );
  const same = blocks.every((block, index) => block.every((sublayer, at) => sublayer === decoder.blocks[index]![at]));
  return same ? decoder : { ...decoder, blocks };
}

function asStored(sublayer: ExpertsSublayer, holds: (name: string) => boolean): ExpertsSublayer {
  if (!('packed' in sublayer) || !sublayer.separate) return sublayer;
  const { packed, interleaved: _interleaved, clamped: _clamped, separate, ...others } = sublayer;
  const [together] = packed.matrices;
  const [alone] = separate.gate.matrices;
  if (holds(together!.within?.tensor ?? together!.weight) || !holds(alone!.weight)) return sublayer;
  return { ...others, ...separate };
}
