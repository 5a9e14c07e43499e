/**
 * What operations check before they record: a wrong shape would be read past its end, and give numbers that only look
 * right.
 *
 * @module
 */

/** @throws Error with the operation, what was expected and what came */
export function checkShape(
  operation: string,
  what: string,
  { rows, columns }: { rows: number; columns: number },
  expectedRows: number,
  expectedColumns: number,
): void {
  if (rows === expectedRows && columns === expectedColumns) return;
  throw new Error(`${operation}: ${what} should be [${expectedRows}, ${expectedColumns}]; it is [${rows}, ${columns}]`);
}

/** @throws Error with the operation, what was expected and what came */
export function checkMultiple(operation: string, what: string, value: number, unit: number, ofWhat: string): void {
  if (value % unit === 0) return;
  throw new Error(`${operation}: ${what} should be a multiple of ${unit}, ${ofWhat}; got ${value}`);
}
