/**
 * The activation xIELU, which has numbers of its own in every layer.
 *
 * @module
 */

import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement } from '../gpu/workgroups.ts';
import type { Activation } from '../tensor/workspace.ts';
import { checkMultiple } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { vectorOf } from './probes.ts';

export interface XieluOptions {
  /** Names of the tensors of one number that bend what is above 0 and what is below. */
  positive: string;
  negative: string;
  beta: number;
  /** The value up to which, from below, the exponential counts. */
  epsilon: number;
  /** Columns of x that are no pads. */
  width: number;
}

const kernel: KernelDefinition = { files: ['xielu.wgsl'] };

/** x ← xIELU(x), with the numbers of each probe. */
export function xielu({ gpu, probes }: OperationContext, x: Activation, options: XieluOptions): void {
  checkMultiple('xielu', 'rows', x.rows, probes.count, 'the number of probes');
  const [positive, negative] = [vectorOf(probes, options.positive), vectorOf(probes, options.negative)];
  if (!positive || !negative) throw new Error(`xielu: no ${options.positive} or ${options.negative}`);
  const count = x.rows * x.columns;
  gpu.recorder.dispatch(
    gpu.kernel(kernel),
    // One may train and the other not; they lie in two buffers then.
    [positive.buffer, negative.buffer, x.buffer],
    {
      count,
      width: options.width,
      width_stored: x.columns,
      rows_per_probe: x.rows / probes.count,
      positive: positive.offset,
      positive_stride: positive.stride,
      negative: negative.offset,
      negative_stride: negative.stride,
      beta: options.beta,
      epsilon: options.epsilon,
    },
    perElement(count),
  );
}
