/**
 * Short convolutions between two gates, as LFM2 has them.
 *
 * @module
 */

import { convolve } from '../../ops/convolution.ts';
import type { Activation } from '../../tensor/workspace.ts';
import type { ShortConvolutionSublayer } from '../decoder.ts';
import type { Pass } from '../pass.ts';

/**
 * Records the projections and the convolution.
 *
 * @param read what the sublayer reads; `done` is called when nothing reads it any more
 * @param hidden receives the sum
 */
export function recordShortConvolution(
  pass: Pass,
  sublayer: ShortConvolutionSublayer,
  read: Activation,
  done: () => void,
  hidden: Activation,
): void {
  const { convolution } = sublayer;
  const { runs, state } = pass.nextRecurrence();
  const inner = pass.linear(read, sublayer.input);
  done();
  const options = { ...convolution, gated: true, runs, ...(state ? { state: state.inputs } : {}) };
  const convolved = pass.replace(inner, convolve(pass.context, inner, options));
  pass.addTo(hidden, convolved, sublayer.output, sublayer);
  pass.context.workspace.give(convolved);
}
