/**
 * Names that PEFT does not take for what they are. In transformers 5 the experts of a layer are one tensor, and PEFT
 * takes targets with the names of an expert's matrices for that tensor, in the models that had these matrices before: a
 * pair beside a layer of the same name that is no expert is lost, and experts get a pair that nobody trained.
 *
 * @see https://github.com/huggingface/peft/blob/v0.19.0/src/peft/utils/transformers_weight_conversion.py
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Decoder } from '../model/decoder.ts';

const llamaNames = /\.(gate_proj|up_proj|down_proj|gate)$/;

/** The last parts of such names, by model type. */
const takenForExperts: Readonly<Record<string, RegExp>> = {
  dots1: llamaNames,
  ernie4_5_moe: llamaNames,
  glm4_moe: llamaNames,
  hunyuan_v1_moe: llamaNames,
  olmoe: llamaNames,
  qwen3_moe: llamaNames,
  qwen3_next: llamaNames,
  mixtral: /\.(w[123]|gate)$/,
};

/**
 * @param modules beside which an adapter has pairs
 * @throws SubzeroError `unsupported` where PEFT would read one of them as experts
 */
export function refuseNamesOfExperts(
  { architecture }: Pick<Decoder, 'architecture'>,
  modules: readonly string[],
): void {
  const names = Object.hasOwn(takenForExperts, architecture) ? takenForExperts[architecture] : undefined;
  const module = names && modules.find((each) => names.test(each));
  if (module === undefined) return;
  throw new SubzeroError(
    'unsupported',
    `the run has a pair beside ${module}, and PEFT takes targets of this name in "${architecture}" for the experts ` +
      'of a layer, so that it would apply another change without a word; export as safetensors, or train without ' +
      'this layer',
    { parameter: 'format' },
  );
}
