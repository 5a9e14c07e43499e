/**
 * Matrices of 8-bit floats with scales.
 *
 * @module
 */

import { f32ToBytes } from '../safetensors/convert.ts';
import { fp8Table } from '../weights/fp8.ts';
import { layOutTable, tableElements } from '../weights/tables.ts';
import type { QuantizedMatrix, ScaleType } from './matrix.ts';
import type { Grid, Parts } from './parts.ts';

/**
 * A matrix of E4M3 floats.
 * @param name the tensor of its codes [rows, columns]
 * @param grid its scales, for groups of `groupSize` columns
 */
export function floatMatrix(
  source: Parts,
  matrix: { name: string; shape: readonly [number, number]; grid: Grid; groupSize: number; parts: readonly string[] },
): QuantizedMatrix {
  const { name, shape, grid, groupSize, parts } = matrix;
  const [, columns] = shape;
  const fits = columns % tableElements === 0 && (groupSize % tableElements === 0 || groupSize >= columns);
  return {
    shape,
    dtype: fits ? 'fp8' : grid.dtype,
    parts,
    rows: async (start, end) => {
      const codes = await source.read(name, start * columns, (end - start) * columns);
      const scales = await source.gridRows(grid, start, end);
      const scaleOf = (index: number): number => {
        const column = index % columns;
        return scales[((index - column) / columns) * grid.groups + Math.floor(column / groupSize)]!;
      };
      if (!fits) {
        const values = Float32Array.from(codes, (code, index) => fp8Table[code]! * scaleOf(index));
        return f32ToBytes(grid.dtype as ScaleType, values) as Uint8Array<ArrayBuffer>;
      }
      const blocks = { length: codes.length / tableElements };
      return layOutTable({ codes, scales: Float32Array.from(blocks, (_, block) => scaleOf(block * tableElements)) });
    },
  };
}
