/**
 * Sides of a tensor that are stored longer than they are. Kernels read four elements at a time, so that a side which 4
 * does not divide has zeros behind it, and one that is made of heads has them behind each head.
 *
 * @module
 */

/** One side of a tensor: `groups` runs of `width` elements that begin `stride` apart, with zeros between them. */
export interface Axis {
  groups: number;
  width: number;
  stride: number;
}

/** Both sides of a matrix, row-major. */
export interface Layout {
  rows: Axis;
  columns: Axis;
}

/** Elements that so many take where kernels read four at a time. */
export function wholeQuads(width: number): number {
  return Math.ceil(width / 4) * 4;
}

/** A side that kernels read in quads: one run, or one for each head. */
export function quadAxis(width: number, groups = 1): Axis {
  return { groups, width, stride: wholeQuads(width) };
}

/** A side that is stored as it is. */
export function plainAxis(width: number): Axis {
  return { groups: 1, width, stride: width };
}

/** Elements that the axis has. */
export function axisLength({ groups, width }: Axis): number {
  return groups * width;
}

/** Elements that the axis takes in memory. */
export function storedLength({ groups, stride }: Axis): number {
  return groups * stride;
}

/** Whether the axis is longer in memory than it is. */
export function isPadded({ width, stride }: Axis): boolean {
  return stride !== width;
}

/** Where an element lies in memory. */
export function storedIndex({ width, stride }: Axis, index: number): number {
  return Math.floor(index / width) * stride + (index % width);
}

/** The number of elements before a place in memory, which is the index of the first one at or behind it. */
export function elementsBefore({ width, stride }: Axis, stored: number): number {
  return Math.floor(stored / stride) * width + Math.min(stored % stride, width);
}

/**
 * Runs of elements of the stored rows `start` to `end`, counted from the first of these, without pads and with them.
 */
function* runs({ rows, columns }: Layout, start: number, end: number): Generator<{ plain: number; stored: number }> {
  let plain = 0;
  for (let row = start; row < end; row++) {
    if (row % rows.stride >= rows.width) continue;
    for (let group = 0; group < columns.groups; group++) {
      yield { plain, stored: (row - start) * storedLength(columns) + group * columns.stride };
      plain += columns.width;
    }
  }
}

/** An array of whole elements: of numbers, or of the bytes of so many. */
type Elements = Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>;

/**
 * Takes the pads out.
 * @param stored the rows `start` to `end` in memory
 * @param unit entries of the array for one element
 */
export function withoutPads<T extends Elements>(
  layout: Layout,
  stored: T,
  unit = 1,
  start = 0,
  end = storedLength(layout.rows),
): T {
  const rows = elementsBefore(layout.rows, end) - elementsBefore(layout.rows, start);
  const result = stored.slice(0, rows * axisLength(layout.columns) * unit) as T;
  const length = layout.columns.width * unit;
  for (const { plain, stored: from } of runs(layout, start, end)) {
    result.set(stored.subarray(from * unit, from * unit + length), plain * unit);
  }
  return result;
}

/**
 * The rows `start` to `end` in memory, with zeros as pads.
 * @param plain the elements of these rows
 * @param unit entries of the array for one element
 */
export function withPads(
  layout: Layout,
  plain: Uint8Array,
  unit: number,
  start: number,
  end: number,
): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array((end - start) * storedLength(layout.columns) * unit);
  const length = layout.columns.width * unit;
  for (const { plain: from, stored } of runs(layout, start, end)) {
    result.set(plain.subarray(from * unit, from * unit + length), stored * unit);
  }
  return result;
}
