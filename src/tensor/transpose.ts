/**
 * Matrices that a checkpoint has the other way round.
 *
 * @module
 */

/** Arrays of whole elements by the bytes of one. */
const views = { 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array } as const;

/**
 * The bytes of a matrix with its sides exchanged.
 * @param matrix row-major
 * @param shape its rows and columns
 * @param unit bytes of an element: 2, 4 or 8
 */
export function transpose(
  matrix: Uint8Array<ArrayBuffer>,
  [rows, columns]: readonly [number, number],
  unit: number,
): Uint8Array<ArrayBuffer> {
  const View = views[unit as keyof typeof views];
  const count = rows * columns;
  if (!View || matrix.byteLength !== count * unit) {
    throw new Error(`transpose: ${matrix.byteLength} bytes are no [${rows}, ${columns}] of ${unit} bytes each`);
  }
  const whole = matrix.byteOffset % unit === 0 ? matrix : matrix.slice();
  const from = new View(whole.buffer, whole.byteOffset, count);
  const to = new View(count);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) to[column * rows + row] = from[row * columns + column]!;
  }
  return new Uint8Array(to.buffer);
}
