import { SubzeroError } from '../errors.ts';
import { quote } from './json.ts';

/**
 * The tensor of a name in a file, and how many of its bytes are asked for.
 *
 * @throws SubzeroError `not_found` if there is none, `invalid_argument` if the range does not lie within it
 */
export function tensorRange<Tensor extends { byteLength: number }>(
  file: string,
  tensors: ReadonlyMap<string, Tensor>,
  name: string,
  byteOffset: number,
  byteLength: number | undefined,
): { tensor: Tensor; length: number } {
  const tensor = tensors.get(name);
  if (tensor === undefined) {
    throw new SubzeroError('not_found', `${file} has no tensor ${quote(name)}`, { parameter: name });
  }
  const length = byteLength ?? tensor.byteLength - byteOffset;
  const isInside =
    Number.isSafeInteger(byteOffset) &&
    Number.isSafeInteger(length) &&
    byteOffset >= 0 &&
    length >= 0 &&
    byteOffset + length <= tensor.byteLength;
  if (isInside) return { tensor, length };
  throw new SubzeroError(
    'invalid_argument',
    `${file}: tensor ${quote(name)} has ${tensor.byteLength} bytes; a read of ${length} bytes at ${byteOffset} is ` +
      'outside of it',
    { parameter: name },
  );
}
