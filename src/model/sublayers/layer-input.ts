/**
 * What layers read of the tokens besides the hidden state, as Gemma 4 has it (per-layer embeddings).
 *
 * @module
 */

import { embed } from '../../ops/embedding.ts';
import { gateByPart } from '../../ops/rows.ts';
import { scaleActivation } from '../../ops/scale.ts';
import type { Activation } from '../../tensor/workspace.ts';
import type { LayerInputSublayer, LayerInputs } from '../decoder.ts';
import type { Pass } from '../pass.ts';

/**
 * Records the inputs of all layers at once, but for the factor of all: norm(projection(x)) / tableScale + table[token].
 * The table's rows are the ones that are added, so that virtual tokens, which have none, keep the first summand.
 *
 * @param x what the layers begin with
 * @returns [rows, layers · elements of each]
 */
export function recordLayerInputs(pass: Pass, inputs: LayerInputs, x: Activation): Activation {
  const { context, model, input } = pass;
  const projected = pass.linear(x, inputs.projection);
  const normed = pass.replace(projected, pass.norm(projected, inputs.norm));
  scaleActivation(context, normed, 1 / inputs.tableScale);
  return embed(context, input.ids, normed.rows, model.weight(inputs.table.weight), normed);
}

/**
 * Records what a layer adds of its part.
 *
 * @param read what the sublayer reads; `done` is called when nothing reads it any more
 * @param hidden receives the sum
 */
export function recordLayerInput(
  pass: Pass,
  sublayer: LayerInputSublayer,
  read: Activation,
  done: () => void,
  hidden: Activation,
): void {
  const { context, layerInputs, model } = pass;
  const { activation, part } = sublayer;
  const { scale, tableScale } = model.decoder.layerInputs!;
  const gated = pass.linear(read, sublayer.gate);
  done();
  gateByPart(context, gated, layerInputs!, { part, activation, scale: scale * tableScale });
  pass.addTo(hidden, gated, sublayer.output, sublayer);
  context.workspace.give(gated);
}
