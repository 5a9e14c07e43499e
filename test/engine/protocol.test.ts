import { expect, test } from 'vitest';
import { joinArguments, methods, type ParameterKind, splitArguments } from '../../src/engine/protocol.ts';

test.each(Object.entries(methods))('the arguments of %s come back in their places', (_, [, ...kinds]) => {
  const signal = new AbortController().signal;
  const progress = (): void => {};
  const values = kinds.map((kind: ParameterKind, index) => ({ data: `value ${index}`, progress, signal })[kind]);
  const split = splitArguments(kinds, values);
  // What crosses must be data alone.
  expect(structuredClone(split.data)).toEqual(split.data);
  expect(joinArguments(kinds, { ...split, data: structuredClone(split.data) })).toEqual(values);
});

test('arguments that are left out stay so', () => {
  const split = splitArguments(['data', 'progress', 'signal'], ['a']);
  expect(split).toEqual({ data: ['a', undefined, undefined], progress: undefined, signal: undefined });
  expect(joinArguments(['data', 'progress', 'signal'], split)).toEqual(['a', undefined, undefined]);
});
