/**
 * Feed-forward sublayers, plain and gated.
 *
 * @module
 */

import { gate, gatePacked } from '../../ops/rows.ts';
import { xielu } from '../../ops/xielu.ts';
import { axisLength } from '../../tensor/axis.ts';
import type { Activation } from '../../tensor/workspace.ts';
import type { FeedForwardSublayer } from '../decoder.ts';
import type { Pass } from '../pass.ts';

/**
 * Records the inner layers and the sum.
 *
 * @param read what the sublayer reads; `done` is called when nothing reads it any more
 * @param hidden receives the sum
 */
export function recordFeedForward(
  pass: Pass,
  sublayer: FeedForwardSublayer,
  read: Activation,
  done: () => void,
  hidden: Activation,
): void {
  const { workspace } = pass.context;
  const { activation } = sublayer;
  let inner: Activation;
  if ('packed' in sublayer) {
    const packed = pass.linear(read, sublayer.packed);
    inner = pass.replace(packed, gatePacked(pass.context, packed, activation));
  } else if (sublayer.gate) {
    const [gated, up] = pass.linears(read, sublayer.gate, sublayer.up) as [Activation, Activation];
    gate(pass.context, gated, up, activation);
    workspace.give(up);
    inner = gated;
  } else {
    inner = pass.linear(read, sublayer.up, { activation });
    if (sublayer.xielu) xielu(pass.context, inner, { ...sublayer.xielu, width: axisLength(sublayer.up.rows) });
  }
  done();
  pass.addTo(hidden, inner, sublayer.down, sublayer);
  workspace.give(inner);
}
