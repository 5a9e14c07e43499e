/**
 * The gains of DoRA: what its magnitudes are over the norms of the weights with the pair, which inference never
 * changes.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { perElement } from '../gpu/workgroups.ts';
import { plainAxis } from '../tensor/axis.ts';
import type { Weight } from '../tensor/weight.ts';
import { codecFile } from '../weights/index.ts';
import { type LoraPair, type Probes, vectorOf } from './probes.ts';

/**
 * Records g ← m / ‖W + scale · B A‖ by rows, in the place of m. Do so once.
 *
 * @param pair one with gains, whose tensors are in the state of the probes
 */
export function recordGains(gpu: Gpu, weight: Weight, pair: LoraPair, probes: Probes): void {
  const [a, b, gain] = [pair.a, pair.b, pair.gain].map((name) => vectorOf(probes, name)!);
  const { rows, columns } = weight.layout ?? { rows: plainAxis(weight.rows), columns: plainAxis(weight.columns) };
  const kernel = gpu.kernel({ files: [codecFile(weight.storage), 'lora/gain.wgsl'] });
  for (const part of weight.parts) {
    gpu.recorder.dispatch(
      kernel,
      [part.buffer, probes.state],
      {
        rows: part.rowCount,
        row_start: part.rowStart,
        row_width: rows.width,
        row_stride: rows.stride,
        inner_quads: weight.columns / 4,
        column_width: columns.width,
        column_stride: columns.stride,
        columns: columns.groups * columns.width,
        rank: pair.rank,
        a_offset: a!.offset,
        b_offset: b!.offset,
        gain_offset: gain!.offset,
        scale: pair.scale,
      },
      perElement(part.rowCount),
    );
  }
}
