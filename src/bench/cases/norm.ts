/**
 * RMSNorm and LayerNorm, whole rows and groups.
 *
 * @module
 */

import { type NormVariant, norm } from '../../ops/norm.ts';
import { wholeQuads } from '../../tensor/axis.ts';
import type { Activation } from '../../tensor/workspace.ts';
import { exactTolerance, type KernelCase } from '../case.ts';

export interface NormShape {
  kind: 'rms' | 'layer';
  /** Rows of each probe. */
  rows: number;
  columns: number;
  probes?: number;
  gain?: boolean;
  shift?: boolean;
  groupWidth?: number;
  /** What is added to the gain. */
  gainOffset?: number;
  /** Mean of the inputs in units of their deviation; a large one makes E[x²] − E[x]² cancel. */
  mean?: number;
  epsilon?: number;
}

/** @param variant the adapter's own by default */
export function normCase(shape: NormShape, variant?: NormVariant): KernelCase {
  const {
    kind,
    rows,
    columns,
    probes = 1,
    gain = false,
    shift = false,
    mean = 0,
    epsilon = 1e-5,
    gainOffset = 0,
  } = shape;
  const width = shape.groupWidth ?? columns;
  // Groups begin whole quads apart.
  const stride = shape.groupWidth ? wholeQuads(width) : columns;
  const all = rows * probes;
  return {
    operation: 'norm',
    name: [
      `${kind} ${probes}×${rows}×${columns}${width === columns ? '' : ` in ${width}s`}`,
      ...(gain ? [`gain${gainOffset ? ` + ${gainOffset}` : ''}`] : []),
      ...(shift ? ['shift'] : []),
      ...(mean ? [`mean ${mean}`] : []),
    ].join(', '),
    tolerance: exactTolerance,
    flops: 5 * all * columns,
    bytes: 8 * all * columns,
    prepare(bed) {
      const { random } = bed;
      const data = random.normals(all * columns, 1, mean);
      const vector = () => Array.from({ length: probes }, () => random.normals(width, 0.3, 1));
      const gains = gain ? vector() : undefined;
      const shifts = shift ? vector() : undefined;
      bed.reserve(all);
      const context = bed.context({
        count: probes,
        vectors: { ...(gains ? { gain: gains } : {}), ...(shifts ? { shift: shifts } : {}) },
      });
      const x = bed.activation(data, all, columns);
      let last: Activation | undefined;
      return {
        record() {
          if (last) bed.workspace.give(last);
          last = norm(context, x, {
            kind,
            epsilon,
            // A name that the probes do not have is left out.
            gain: 'gain',
            shift: 'shift',
            gainOffset,
            ...(shape.groupWidth ? { groupWidth: width } : {}),
            ...(variant ? { variant } : {}),
          });
          return [
            {
              name: 'y',
              buffer: last.buffer,
              rows: all,
              columns,
              guarded: true,
              reference(row) {
                const result = new Float64Array(columns);
                const probe = Math.floor(row / rows);
                for (let start = 0; start < columns; start += stride) {
                  const values = Float64Array.from(data.subarray(row * columns + start, row * columns + start + width));
                  const centre = kind === 'layer' ? values.reduce((sum, value) => sum + value, 0) / width : 0;
                  const variance = values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / width;
                  for (let index = 0; index < width; index++) {
                    const normal = (values[index]! - centre) / Math.sqrt(variance + epsilon);
                    const factor = gains ? gains[probe]![index]! + gainOffset : 1;
                    result[start + index] = normal * factor + (shifts?.[probe]?.[index] ?? 0);
                  }
                }
                return result;
              },
            },
          ];
        },
      };
    },
  };
}

export const normShapes: readonly NormShape[] = [
  { kind: 'rms', rows: 1, columns: 4 },
  { kind: 'rms', rows: 33, columns: 100, gain: true, probes: 2, epsilon: 1e-6 },
  { kind: 'rms', rows: 5, columns: 96, gain: true, groupWidth: 16, probes: 3 },
  { kind: 'rms', rows: 2, columns: 64, groupWidth: 8 },
  { kind: 'rms', rows: 5, columns: 48, gain: true, groupWidth: 10, probes: 2 },
  { kind: 'layer', rows: 3, columns: 72, gain: true, shift: true, groupWidth: 69, probes: 2, mean: 2 },
  { kind: 'layer', rows: 1, columns: 8, gain: true, shift: true },
  { kind: 'layer', rows: 17, columns: 200, gain: true, shift: true, probes: 4 },
  { kind: 'layer', rows: 3, columns: 1028, gain: true, shift: true, mean: 30 },
  { kind: 'layer', rows: 65, columns: 72, probes: 2 },
  { kind: 'rms', rows: 4, columns: 5120, gain: true, mean: 3 },
  { kind: 'rms', rows: 9, columns: 48, gain: true, gainOffset: 1, groupWidth: 12, probes: 3 },
  { kind: 'layer', rows: 7, columns: 72, gain: true, shift: true, gainOffset: 1, probes: 2 },
  { kind: 'rms', rows: 2, columns: 16, gainOffset: 1 },
];
